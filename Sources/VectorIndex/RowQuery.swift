import Synchronization
import VectorKernels

/// A query in float32, and what its distances to the rows of `exact` come from.
///
/// The distances are those that searches report, as bits that order as they do, so a walk on rows
/// needs no second look at what it found. Every instruction set gives the same bits.
struct RowQuery {
  let kernel: KernelSet.FloatGatherKernel
  /// As many values as the collection has dimensions: normalised under cosine, or as they are
  /// together with `inverseNorm`.
  let values: UnsafePointer<Float>
  /// Under cosine: what the products are multiplied with besides the rows' own inverse norms.
  let inverseNorm: Double
  let metric: IndexParameters.Metric
  let dimensions: Int
  let rows: UnsafeRawPointer
  let strideBytes: Int
  let rowNumbers: UnsafeMutablePointer<Atomic<UInt32>>
  let inverseNorms: UnsafePointer<Double>?
  let buffers: RowBuffers
  /// Alive as long as the query: whoever made it.
  let generation: Unmanaged<IndexGeneration>

  /// Distances of `count` slots, at most `SearchScratch.batchLimit`, as the bits of Int32.
  func distances(
    _ slots: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) {
    guard count > 0 else { return }
    let numbers = buffers.numbers
    let limit = generation._withUnsafeGuaranteedRef { $0.readableExactRows }
    var largest: UInt32 = 0
    var index = 0
    while index < count {
      let number = rowNumbers[Int(slots[index])].load(ordering: .acquiring)
      numbers[index] = number
      largest = max(largest, number)
      index &+= 1
    }
    guard largest < limit else { return mixedDistances(slots, count: count, limit: limit, out) }
    kernel(values, rows, strideBytes, numbers, count, dimensions, buffers.floats)
    index = 0
    while index < count {
      out[index] = finish(buffers.floats[index], slot: Int(slots[index]))
      index &+= 1
    }
  }

  /// The same for the slots from `first` on.
  func distances(first: Int, count: Int, _ out: UnsafeMutablePointer<Int32>) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: max(1, count)) { slots in
      guard let base = slots.baseAddress else { return }
      for index in 0..<count { base[index] = UInt32(first + index) }
      distances(UnsafePointer(base), count: count, out)
    }
  }

  /// Where some slots have no row of their own: their codes give the vector back.
  private func mixedDistances(
    _ slots: UnsafePointer<UInt32>, count: Int, limit: UInt32, _ out: UnsafeMutablePointer<Int32>
  ) {
    for index in 0..<count {
      var number = rowNumbers[Int(slots[index])].load(ordering: .acquiring)
      if number < limit {
        kernel(values, rows, strideBytes, &number, 1, dimensions, buffers.floats)
        out[index] = finish(buffers.floats[0], slot: Int(slots[index]))
        continue
      }
      let slot = Int(slots[index])
      out[index] = generation._withUnsafeGuaranteedRef { generation in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { vector in
          guard let base = vector.baseAddress, generation.copyVector(slot, to: vector) else {
            return -1
          }
          let kernels = generation.kernels
          let kernel = metric.countsDifferences ? kernels.squaredL2 : kernels.innerProduct
          return finish(kernel(values, UnsafePointer(base), dimensions), slot: slot)
        }
      }
    }
  }

  /// A kernel's value as the sortable bits of the distance reported.
  @inline(__always)
  private func finish(_ value: Float, slot: Int) -> Int32 {
    var distance = value
    if value.isFinite {
      switch metric {
      case .l2, .hamming: break
      case .dot: distance = 0 - value
      case .cosine:
        let inverse = (inverseNorms?[slot] ?? 1) * inverseNorm
        distance = Float(min(2, max(0, 1 - Double(value) * inverse)))
      }
    } else {
      distance = generation._withUnsafeGuaranteedRef {
        $0.overflowedDistance(slot, from: values, inverseNorm: inverseNorm)
      }
    }
    return Int32(bitPattern: IndexGeneration.sortableBits(distance))
  }
}

/// What distances on rows are computed in: one for each thread.
struct RowBuffers {
  let numbers: UnsafeMutablePointer<UInt32>
  let floats: UnsafeMutablePointer<Float>

  init() {
    numbers = .allocate(capacity: SearchScratch.batchLimit)
    floats = .allocate(capacity: SearchScratch.batchLimit)
  }

  func deallocate() {
    numbers.deallocate()
    floats.deallocate()
  }
}

extension IndexGeneration {
  /// Rows of `exact` that can be read at all: a damaged row number must not lead out of it.
  var readableExactRows: UInt32 {
    UInt32(clamping: arrays.exact.readableLengthBytes / arrays.exact.strideBytes)
  }

  /// Whether the graph is built and searched on the float32 rows.
  @inline(__always)
  package var usesRows: Bool { traversesRows.load(ordering: .acquiring) }

  /// The arrays with a row for every slot, the codes' among them while they are used.
  var slotArrays: [RowArray] { usesRows ? arrays.perSlot : [arrays.codes] + arrays.perSlot }

  /// Bytes that a distance reads.
  var traversalStrideBytes: Int {
    usesRows ? arrays.exact.strideBytes : parameters.codeStrideBytes
  }

  func rowQuery(
    _ values: UnsafePointer<Float>, inverseNorm: Double = 1, buffers: RowBuffers
  ) -> RowQuery {
    RowQuery(
      kernel: parameters.metric.countsDifferences
        ? kernels.squaredL2Rows : kernels.innerProductRows,
      values: values, inverseNorm: inverseNorm, metric: parameters.metric,
      dimensions: parameters.dimensions, rows: UnsafeRawPointer(arrays.exact.base),
      strideBytes: arrays.exact.strideBytes,
      rowNumbers: arrays.exactRows.base.assumingMemoryBound(to: Atomic<UInt32>.self),
      inverseNorms: arrays.inverseNorms.map {
        UnsafePointer($0.base.assumingMemoryBound(to: Double.self))
      },
      buffers: buffers, generation: Unmanaged.passUnretained(self))
  }

  /// A stored slot as a query on rows. Once the generation uses rows every node has one.
  func storedRowQuery(_ slot: Int, buffers: RowBuffers) -> RowQuery {
    let values =
      exactVector(slot) ?? UnsafePointer(arrays.exact.base.assumingMemoryBound(to: Float.self))
    let inverse = arrays.inverseNorms?.row(slot).load(as: Double.self) ?? 1
    return rowQuery(values, inverseNorm: inverse, buffers: buffers)
  }
}
