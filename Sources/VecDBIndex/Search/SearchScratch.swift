import Synchronization

/// Everything that one search writes to, reused from search to search so that none allocates.
final class SearchScratch {
  /// Rows that one kernel call is asked for at most.
  static let batchLimit = 512

  /// The query as the kernels take it: signed, zero padded, 64-byte aligned.
  let signedQuery: UnsafeMutablePointer<Int8>
  let codes: UnsafeMutablePointer<UInt8>
  /// The query as floats; normalised under cosine.
  let query: UnsafeMutablePointer<Float>
  let decoded: UnsafeMutablePointer<Float>
  let ids: UnsafeMutablePointer<UInt32>
  let rows: UnsafeMutablePointer<UInt32>
  let positions: UnsafeMutablePointer<UInt32>
  let dots: UnsafeMutablePointer<Int32>
  let floats: UnsafeMutablePointer<Float>
  let floatResults: UnsafeMutablePointer<Float>
  /// What orders distances; see `IndexGeneration.exactKeys`.
  let keys: UnsafeMutablePointer<UInt32>
  let rowBuffers = RowBuffers()
  /// The best nodes of an upper layer.
  let beam = UnsafeMutablePointer<UInt64>.allocate(capacity: beamLimit)
  static let beamLimit = 16
  var pool = CandidatePool(capacity: 256)
  var results = CandidatePool(capacity: 256)
  var heap = CandidateHeap()
  var visited = VisitedSet()
  private var waiting = UnsafeMutablePointer<UInt64>.allocate(capacity: 0)
  private var waitingCapacity = 0
  /// The slot that the search passes over as if it were not there, or `IndexArrays.none`.
  var leftOut = IndexArrays.none
  /// How this search makes up for a poor index.
  var compensation = IndexGeneration.Compensation.none
  /// Whether the query's codes decode to exactly the query, with codes that are whole numbers.
  var isQueryExact = false
  /// Whether the query's distances are computed in double, and keys are the upper halves of these.
  var isWide = false

  init(parameters: IndexParameters) {
    let stride = parameters.codeStrideBytes
    func raw(_ bytes: Int) -> UnsafeMutableRawPointer {
      let pointer = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
      pointer.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
      return pointer
    }
    signedQuery = raw(stride).assumingMemoryBound(to: Int8.self)
    codes = raw(stride).assumingMemoryBound(to: UInt8.self)
    query = raw(parameters.exactStrideBytes).assumingMemoryBound(to: Float.self)
    decoded = raw(parameters.exactStrideBytes).assumingMemoryBound(to: Float.self)
    ids = raw(Self.batchLimit * 4).assumingMemoryBound(to: UInt32.self)
    rows = raw(Self.batchLimit * 4).assumingMemoryBound(to: UInt32.self)
    positions = raw(Self.batchLimit * 4).assumingMemoryBound(to: UInt32.self)
    dots = raw(Self.batchLimit * 4).assumingMemoryBound(to: Int32.self)
    floats = raw(Self.batchLimit * 4).assumingMemoryBound(to: Float.self)
    floatResults = raw(Self.batchLimit * 4).assumingMemoryBound(to: Float.self)
    keys = raw(Self.batchLimit * 4).assumingMemoryBound(to: UInt32.self)
  }

  /// Room for at least `count` candidates in no order.
  func waitingWords(_ count: Int) -> UnsafeMutablePointer<UInt64> {
    if count > waitingCapacity {
      waiting.deallocate()
      waiting = .allocate(capacity: count)
      waitingCapacity = count
    }
    return waiting
  }

  deinit {
    signedQuery.deallocate()
    codes.deallocate()
    query.deallocate()
    decoded.deallocate()
    ids.deallocate()
    rows.deallocate()
    positions.deallocate()
    dots.deallocate()
    floats.deallocate()
    floatResults.deallocate()
    keys.deallocate()
    rowBuffers.deallocate()
    beam.deallocate()
    waiting.deallocate()
    pool.deallocate()
    results.deallocate()
    heap.deallocate()
    visited.deallocate()
  }
}

/// Scratches that no search holds, in a fixed row of atomic cells: taking and giving back is a load
/// and an exchange, and never waits.
final class ScratchPool: @unchecked Sendable {
  private static let cellCount = 64
  private let cells: UnsafeMutablePointer<Atomic<UInt>>

  init() {
    cells = .allocate(capacity: Self.cellCount)
    for index in 0..<Self.cellCount { (cells + index).initialize(to: Atomic(0)) }
  }

  deinit {
    for index in 0..<Self.cellCount {
      let bits = cells[index].load(ordering: .acquiring)
      if let pointer = UnsafeRawPointer(bitPattern: bits) {
        Unmanaged<SearchScratch>.fromOpaque(pointer).release()
      }
    }
    cells.deinitialize(count: Self.cellCount)
    cells.deallocate()
  }

  func take(_ parameters: IndexParameters) -> SearchScratch {
    for index in 0..<Self.cellCount where cells[index].load(ordering: .relaxed) != 0 {
      let bits = cells[index].exchange(0, ordering: .acquiring)
      if let pointer = UnsafeRawPointer(bitPattern: bits) {
        return Unmanaged<SearchScratch>.fromOpaque(pointer).takeRetainedValue()
      }
    }
    return SearchScratch(parameters: parameters)
  }

  func giveBack(_ scratch: SearchScratch) {
    let bits = UInt(bitPattern: Unmanaged.passRetained(scratch).toOpaque())
    for index in 0..<Self.cellCount where cells[index].load(ordering: .relaxed) == 0 {
      let (done, _) = cells[index].compareExchange(
        expected: 0, desired: bits, ordering: .releasing)
      if done { return }
    }
    Unmanaged.passUnretained(scratch).release()
  }
}
