import Glibc
import Synchronization
import VecDBBytes
import VecDBKernels

/// One generation of a collection's index: HNSW on 8-bit codes, with a tail of new records that
/// every search scans exactly.
///
/// One writer at a time calls `apply`, `publish` and the checkpoint functions; any number of
/// threads search and read beside it, without locks. The same batches give bit-identical arrays
/// with any number of threads and any kernels.
///
/// **What makes lock-free reading sound.** A slot's rows are written before `slotCount` is stored
/// (releasing) and, but for its links and its death, never change after that. A node's links are
/// written before `graphCount` is stored, and a search ignores any link that is not below the
/// `graphCount` it loaded (acquiring), so whatever a link leads to was written before. Links and
/// deaths are relaxed atomics.
package final class IndexGeneration: @unchecked Sendable {
  /// Records before which nothing is trained or built: scanning them all is as fast.
  package static let trainingThreshold = 1_024
  /// A tail of this length is inserted into the graph.
  package static let tailLimit = 256

  package let parameters: IndexParameters
  let kernels: KernelSet
  let arrays: IndexArrays
  let slotLimit: Int

  // MARK: Published to readers

  /// Batches up to this one are visible.
  let publishedLSN = Atomic<UInt64>(0)
  /// Slots below this were born at or before `publishedLSN`; stored after it.
  let publishedSlots = Atomic<Int>(0)
  /// Slots whose rows are complete.
  let slotCount = Atomic<Int>(0)
  /// Slots below this are nodes of the graph; the tail is the rest.
  let graphCount = Atomic<Int>(0)
  /// The node where searches begin; stored after the `graphCount` that has it.
  let entryPoint = Atomic<Int>(0)
  let upperRowCount = Atomic<Int>(0)
  /// Slots that no live record has: those that have died, visibly or not yet, and free ones.
  let deadCount = Atomic<Int>(0)
  /// Of these, the ones in the list of free slots.
  let freeCount = Atomic<Int>(0)
  /// Slots that got another record so far, each time counted; `reuseJournal` holds the last ones.
  let reuseSequence = Atomic<UInt64>(0)
  let reuseAnnounced = Atomic<UInt64>(0)
  /// From here on the journal is known.
  let reuseJournalStart = Atomic<UInt64>(0)
  let reuseJournal: UnsafeMutablePointer<Atomic<UInt32>>
  let readers = ReaderRegistry()
  /// Dead slots that are no nodes of the graph, since it was built without them.
  let absentCount = Atomic<Int>(0)
  /// Whether `trainedQuantizer` holds one.
  let isTrained = Atomic<Bool>(false)
  private let trainedQuantizer: UnsafeMutablePointer<Quantizer?>
  /// Whether the graph is built and searched on the float32 rows; stored before any slot without
  /// codes is published.
  let traversesRows = Atomic<Bool>(false)
  private let compensationWord = Atomic<UInt8>(0)
  let columnCount = Atomic<Int>(0)
  let columns: UnsafeMutablePointer<Column?>
  let scratchPool = ScratchPool()

  // MARK: The writer's

  /// Threads that insertion uses.
  package var threads: Int
  /// The last batch applied.
  package internal(set) var appliedLSN: UInt64 = 0
  /// Multiset digest over the live records' hashes as of `appliedLSN`.
  package internal(set) var dataDigest = MultisetDigest()
  /// Components that lay outside the quantiser's range, over all records since training.
  package internal(set) var clippedCount: UInt64 = 0
  /// What the codes were found worth so far.
  package internal(set) var codeFit = CodeFit()
  /// How far a query may lie outside the range of the codes, in squared code units, before they
  /// say too little of it. Set with the quantiser.
  var excessLimit = Float.infinity
  /// The first free slot, or `IndexArrays.none`.
  var freeHead = IndexArrays.none
  /// Per size in granules: the first chunk of `keyBytes` that nobody uses.
  var freeKeyChunks = [UInt64?](repeating: nil, count: IndexGeneration.keySizeCount)
  /// The first row of `exact` that nobody uses, or `IndexArrays.none`.
  var freeExactRow = IndexArrays.none
  /// Whether readers may still look at slots that are free by now.
  var mustAwaitReaders = false
  /// Knows whether a mapped block that a batch changed was damaged.
  package internal(set) var prover: BlockProver?
  var columnNumbers: [[UInt8]: Int] = [:]
  /// Columns to come, by number, made before the batch that brings their fields was logged.
  var spareColumns: [Int: Column] = [:]
  var builder: GraphBuilder?

  /// A new, empty generation. Throws `.outOfMemory` when not even small reservations succeed.
  package init(
    parameters: IndexParameters, options: IndexOptions = IndexOptions()
  ) throws(IndexError) {
    self.parameters = parameters
    kernels = options.kernels
    threads = options.threads
    arrays = try IndexArrays(parameters: parameters, slotLimit: options.slotLimit)
    slotLimit = arrays.codes.capacityBytes / arrays.codes.strideBytes
    trainedQuantizer = .allocate(capacity: 1)
    trainedQuantizer.initialize(to: nil)
    guard let journal = calloc(Self.reuseJournalLength, MemoryLayout<UInt32>.stride) else {
      throw .outOfMemory(array: "reuse", bytes: Self.reuseJournalLength * 4)
    }
    reuseJournal = journal.assumingMemoryBound(to: Atomic<UInt32>.self)
    columns = .allocate(capacity: Column.limit)
    columns.initialize(repeating: nil, count: Column.limit)
  }

  deinit {
    trainedQuantizer.deinitialize(count: 1)
    trainedQuantizer.deallocate()
    columns.deinitialize(count: Column.limit)
    columns.deallocate()
    free(reuseJournal)
  }

  /// The quantiser, once there is one.
  package var quantizer: Quantizer? {
    isTrained.load(ordering: .acquiring) ? trainedQuantizer.pointee : nil
  }

  func setQuantizer(_ quantizer: Quantizer, excessLimit: Float = .infinity) {
    trainedQuantizer.pointee = quantizer
    self.excessLimit = excessLimit
    isTrained.store(true, ordering: .releasing)
  }

  /// How searches make up for an index that is known to answer badly, until it is built anew.
  package enum Compensation: UInt8, Sendable {
    case none = 0
    /// The graph is walked on the float32 rows.
    case rows = 1
    /// Every record is compared.
    case scan = 2
  }

  /// Set by whoever measures the index; changes no stored byte.
  package var compensation: Compensation {
    get { Compensation(rawValue: compensationWord.load(ordering: .relaxed)) ?? .none }
    set { compensationWord.store(newValue.rawValue, ordering: .relaxed) }
  }

  // MARK: Figures

  /// Records alive after the last batch applied.
  package var liveCount: Int {
    slotCount.load(ordering: .acquiring) - deadCount.load(ordering: .acquiring)
  }

  /// Slots assigned so far, dead ones included: the next birth gets this number.
  package var assignedSlotCount: Int { slotCount.load(ordering: .acquiring) }

  /// Slots that have died, those that were left out when the generation was built included.
  package var deadSlotCount: Int { deadCount.load(ordering: .acquiring) }

  /// Records written so far, also those that others replaced since.
  package var writtenCount: Int {
    assignedSlotCount + Int(truncatingIfNeeded: reuseSequence.load(ordering: .acquiring))
  }

  /// Slots in the graph; the rest are the tail.
  package var graphSlotCount: Int { graphCount.load(ordering: .acquiring) }

  /// What the graph is built and searched on: `bytes`, `float32`, or `none` before there is one.
  package var codesInUse: String {
    usesRows ? "float32" : isTrained.load(ordering: .acquiring) ? "bytes" : "none"
  }

  /// Bytes in use in all arrays.
  package var sizeBytes: Int { checkpointArrays.reduce(0) { $0 + $1.lengthBytes } }

  /// Vectors kept as floats because their codes do not hold them exactly.
  package var exactRowCount: Int { arrays.exact.count }

  // MARK: Columns

  func column(_ number: Int) -> Column? {
    number < columnCount.load(ordering: .acquiring) ? columns[number] : nil
  }

  func makeColumn(number: Int, field: [UInt8]) throws(IndexError) -> Column {
    if let spare = spareColumns.removeValue(forKey: number) {
      spare.field = field
      return spare
    }
    return try Column(number: number, field: field, slotLimit: slotLimit)
  }

  /// Makes a column known; its rows must reach to the last slot.
  func add(_ column: Column) {
    let number = columnCount.load(ordering: .relaxed)
    columns[number] = column
    columnNumbers[column.field] = number
    columnCount.store(number + 1, ordering: .releasing)
  }

  /// All arrays that make up the generation, in the order of the format.
  var checkpointArrays: [RowArray] {
    var result = arrays.all
    for number in 0..<columnCount.load(ordering: .acquiring) {
      if let column = columns[number] { result += column.arrays }
    }
    return result
  }
}
