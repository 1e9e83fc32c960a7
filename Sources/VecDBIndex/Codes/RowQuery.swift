import Synchronization
import VecDBKernels

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
  /// Whether sums of squares of such values leave the range of a float.
  let isWide: Bool
  /// Rows that can be read at all. Whatever is compared got its row before the query was made.
  let rowLimit: UInt32
  /// Whether every node has a row: one without holds nothing then.
  let isComplete: Bool
  /// Alive as long as the query: whoever made it.
  let generation: Unmanaged<IndexGeneration>

  /// The same query for squared l2 distances, whatever the metric.
  func squaring(_ kernels: KernelSet) -> RowQuery {
    RowQuery(
      kernel: kernels.squaredL2Rows, values: values, inverseNorm: 1, metric: .l2,
      dimensions: dimensions, rows: rows, strideBytes: strideBytes, rowNumbers: rowNumbers,
      inverseNorms: inverseNorms, buffers: buffers, isWide: isWide, rowLimit: rowLimit,
      isComplete: isComplete, generation: generation)
  }

  /// Distances of `count` slots, at most `SearchScratch.batchLimit`, as the bits of Int32.
  func distances(
    _ slots: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) {
    guard count > 0 else { return }
    guard !isWide else { return oneByOne(slots, count: count, out) }
    let (numbers, limit) = (buffers.numbers, rowLimit)
    var largest: UInt32 = 0
    var index = 0
    while index < count {
      let number = rowNumbers[Int(slots[index])].load(ordering: .acquiring)
      numbers[index] = number
      largest = number > largest ? number : largest
      index &+= 1
    }
    if largest >= limit {
      guard limit > 0, isComplete else { return oneByOne(slots, count: count, out) }
      for index in 0..<count where numbers[index] >= limit { numbers[index] = 0 }
    }
    // Kernels take four rows at once and the rest singly, which takes longer than repeating the last.
    while index & 3 != 0 {
      numbers[index] = numbers[count &- 1]
      index &+= 1
    }
    kernel(values, rows, strideBytes, numbers, index, dimensions, buffers.floats)
    guard finish(slots, count: count, out) else { return oneByOne(slots, count: count, out) }
    guard largest >= limit else { return }
    // A slot without a row is near to nothing.
    for index in 0..<count
    where rowNumbers[Int(slots[index])].load(ordering: .relaxed) >= limit {
      out[index] = Int32(bitPattern: .max)
    }
  }

  /// Turns the kernel's values into sortable bits; false where a sum overflowed.
  @inline(__always)
  private func finish(
    _ slots: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) -> Bool {
    let floats = buffers.floats
    /// Magnitudes as bits: those of infinity and beyond are the largest.
    var largest: UInt32 = 0
    var index = 0
    switch metric {
    case .l2, .hamming:
      while index < count {
        let bits = floats[index].bitPattern
        largest = bits > largest ? bits : largest
        out[index] = Int32(bitPattern: bits | 0x8000_0000)
        index &+= 1
      }
    case .dot:
      while index < count {
        let bits = (0 - floats[index] + 0).bitPattern
        let magnitude = bits & 0x7fff_ffff
        largest = magnitude > largest ? magnitude : largest
        let flip = UInt32(bitPattern: Int32(bitPattern: bits) &>> 31) | 0x8000_0000
        out[index] = Int32(bitPattern: bits ^ flip)
        index &+= 1
      }
    case .cosine:
      guard let inverseNorms else { return false }
      while index < count {
        let value = floats[index]
        let magnitude = value.bitPattern & 0x7fff_ffff
        largest = magnitude > largest ? magnitude : largest
        let cosine = Double(value) * (inverseNorms[Int(slots[index])] * inverseNorm)
        var distance = 1 - cosine
        distance = distance > 0 ? distance : 0
        distance = distance < 2 ? distance : 2
        out[index] = Int32(bitPattern: Float(distance).bitPattern | 0x8000_0000)
        index &+= 1
      }
    }
    return largest < 0x7f80_0000
  }

  /// The same for the slots from `first` on.
  func distances(first: Int, count: Int, _ out: UnsafeMutablePointer<Int32>) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: max(1, count)) { slots in
      guard let base = slots.baseAddress else { return }
      for index in 0..<count { base[index] = UInt32(first + index) }
      distances(UnsafePointer(base), count: count, out)
    }
  }

  /// Where a slot has no row of its own, its codes give the vector back; where sums would leave the
  /// range of a float, they are taken in double.
  private func oneByOne(
    _ slots: UnsafePointer<UInt32>, count: Int, _ out: UnsafeMutablePointer<Int32>
  ) {
    generation._withUnsafeGuaranteedRef { generation in
      for index in 0..<count {
        let key = generation.key(
          Int(slots[index]), from: values, inverseNorm: inverseNorm, isWide: isWide)
        out[index] = Int32(bitPattern: key)
      }
    }
  }

  /// The distance that a key stands for, as far as the key tells.
  @inline(__always)
  static func distance(
    ofKey key: UInt32, isWide: Bool, _ metric: IndexParameters.Metric
  ) -> Double {
    isWide
      ? IndexGeneration.distance(wideKey: key, metric)
      : Double(IndexGeneration.distance(sortableBits: key))
  }
}

/// What distances on rows are computed in: one for each thread.
struct RowBuffers {
  let numbers: UnsafeMutablePointer<UInt32>
  let floats: UnsafeMutablePointer<Float>

  init() {
    // A multiple of four.
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
    _ values: UnsafePointer<Float>, inverseNorm: Double = 1, buffers: RowBuffers, isWide: Bool
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
      buffers: buffers, isWide: isWide, rowLimit: readableExactRows, isComplete: usesRows,
      generation: Unmanaged.passUnretained(self))
  }

  /// A stored slot as a query on rows. Once the generation uses rows every node has one.
  func storedRowQuery(_ slot: Int, buffers: RowBuffers) -> RowQuery {
    let values =
      exactVector(slot) ?? UnsafePointer(arrays.exact.base.assumingMemoryBound(to: Float.self))
    let inverse = arrays.inverseNorms?.row(slot).load(as: Double.self) ?? 1
    return rowQuery(
      values, inverseNorm: inverse, buffers: buffers, isWide: isWide(values))
  }
}
