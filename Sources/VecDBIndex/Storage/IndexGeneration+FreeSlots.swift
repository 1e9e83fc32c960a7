import Synchronization

/// Slots that no record has and nothing leads to any more, for new records.
///
/// They form a list through `parents`, which a slot outside of the graph has no other use for;
/// their birth is `UInt64.max`, so that they are never visible. What else they hold is that of the
/// record that died, until a new one overwrites it.
extension IndexGeneration {
  /// Slots that new records may take.
  package var freeSlotCount: Int { freeCount.load(ordering: .acquiring) }

  /// Nodes of the graph whose records have died, which maintenance can free.
  package var deadNodeCount: Int {
    max(0, deadCount.load(ordering: .acquiring) - outsideCount)
  }

  /// Slots without a live record that are not free yet.
  package var unfreedSlotCount: Int {
    max(0, deadCount.load(ordering: .acquiring) - freeCount.load(ordering: .acquiring))
  }

  /// Slots below the graph's end that are no nodes: free ones, and those that were dead when the
  /// generation was built, which maintenance makes free.
  private var outsideCount: Int {
    freeCount.load(ordering: .acquiring) + absentCount.load(ordering: .acquiring)
  }

  /// The free slot that is to be taken after `slot`, or the first one; nil behind the last one. For
  /// the writer.
  package func freeSlot(after slot: UInt32?) -> UInt32? {
    let next = slot.map { parentWords[Int($0)] } ?? freeHead
    // A damaged list ends where it leads elsewhere.
    return next < graphCount.load(ordering: .relaxed) && isFree(Int(next)) ? next : nil
  }

  var parentWords: UnsafeMutablePointer<UInt32> {
    arrays.parents.base.assumingMemoryBound(to: UInt32.self)
  }

  /// Whether a slot is in the list; what is not alive and not free is a dead record's.
  @inline(__always)
  func isFree(_ slot: Int) -> Bool { bornLSN(slot) == .max }

  /// Whether a node is dead and may go. The root stays for ever.
  @inline(__always)
  func isDoomed(_ slot: Int) -> Bool { diedLSN(slot) != .max && slot != 0 }

  /// Puts a slot that nothing leads to at the head of the list.
  func makeFree(_ slot: Int) {
    arrays.lifetimes.willWrite(row: slot)
    if isAbsent(slot) {
      absentCount.store(absentCount.load(ordering: .relaxed) - 1, ordering: .releasing)
    }
    bornWord(slot).pointee.store(.max, ordering: .releasing)
    arrays.parents.willWrite(row: slot)
    parentWords[slot] = freeHead
    freeHead = UInt32(slot)
    freeCount.store(freeCount.load(ordering: .relaxed) + 1, ordering: .releasing)
  }

  /// Returns when none who might still look at what has been freed is reading any more.
  func awaitReaders() {
    guard mustAwaitReaders else { return }
    readers.waitForReaders()
    mustAwaitReaders = false
  }

  /// Takes slots, which must be the first of the list in its order, to have them written anew.
  func takeFree(_ slots: [UInt32]) {
    for slot in slots {
      freeHead = parentWords[Int(slot)]
      willWriteRows(of: Int(slot))
    }
    freeCount.store(freeCount.load(ordering: .relaxed) - slots.count, ordering: .releasing)
    deadCount.store(deadCount.load(ordering: .relaxed) - slots.count, ordering: .releasing)
  }

  /// Throws unless these are the first free slots.
  func requireFree(_ slots: [UInt32]) throws(IndexError) {
    var last: UInt32?
    for slot in slots {
      guard let next = freeSlot(after: last), next == slot else {
        throw .corruptInput("slot \(slot) is to be reused, but is not the next free one")
      }
      last = slot
    }
  }

  /// Takes absent slots, to have them written.
  func takeAbsent(_ slots: [UInt32]) {
    for slot in slots { willWriteRows(of: Int(slot)) }
    absentCount.store(absentCount.load(ordering: .relaxed) - slots.count, ordering: .releasing)
    deadCount.store(deadCount.load(ordering: .relaxed) - slots.count, ordering: .releasing)
  }

  private func willWriteRows(of slot: Int) {
    for array in slotArrays where slot < array.count { array.willWrite(row: slot) }
    for number in 0..<columnCount.load(ordering: .relaxed) {
      columns[number]?.ids.willWrite(row: slot)
    }
  }

  /// Slots that another generation gave records, in the order in which this one can: all are absent,
  /// or they are the next free ones.
  func orderForReuse(
    _ slots: [UInt32]
  ) throws(IndexError) -> (slots: [UInt32], areAbsent: Bool) {
    if slots.allSatisfy({ isAbsent(Int($0)) }) { return (slots, true) }
    var listed: [UInt32] = []
    while listed.count < slots.count, let slot = freeSlot(after: listed.last) {
      listed.append(slot)
    }
    guard listed.sorted() == slots.sorted() else {
      throw .corruptInput("slots were reused that are not the next free ones here")
    }
    return (listed, false)
  }

  /// Throws unless these are absent.
  func requireAbsent(_ slots: [UInt32]) throws(IndexError) {
    for slot in slots where Int(slot) >= assignedSlotCount || !isAbsent(Int(slot)) {
      throw .corruptInput("slot \(slot) is to be filled, but is not absent")
    }
  }

  /// Notes that slots have other records now, for those who remember what slots hold. Only after
  /// their rows are written.
  func noteReuse(of slots: [UInt32]) {
    guard !slots.isEmpty else { return }
    var sequence = reuseSequence.load(ordering: .relaxed)
    reuseAnnounced.store(sequence + UInt64(slots.count), ordering: .relaxed)
    atomicMemoryFence(ordering: .releasing)
    for slot in slots {
      reuseJournal[Int(sequence % UInt64(Self.reuseJournalLength))].store(slot, ordering: .relaxed)
      sequence += 1
    }
    reuseSequence.store(sequence, ordering: .releasing)
  }

  /// The slots that got other records between two moments; nil where that is not known any more.
  package func slotsReused(from first: UInt64, to end: UInt64) -> [UInt32]? {
    guard end > first else { return [] }
    guard first >= reuseJournalStart.load(ordering: .acquiring),
      end - first <= UInt64(Self.reuseJournalLength)
    else { return nil }
    let slots = (first..<end).map {
      reuseJournal[Int($0 % UInt64(Self.reuseJournalLength))].load(ordering: .relaxed)
    }
    // The writer may have overwritten some of them meanwhile; it tells so before.
    atomicMemoryFence(ordering: .acquiring)
    let announced = reuseAnnounced.load(ordering: .relaxed)
    return announced - first <= UInt64(Self.reuseJournalLength) ? slots : nil
  }

  /// Goes on counting where another generation of the same slots is, which this one is built from.
  func countReuse(on source: IndexGeneration) {
    countReuse(from: source.reuseSequence.load(ordering: .acquiring))
  }

  func countReuse(from sequence: UInt64) {
    reuseJournalStart.store(sequence, ordering: .releasing)
    reuseAnnounced.store(sequence, ordering: .releasing)
    reuseSequence.store(sequence, ordering: .releasing)
  }

  /// Reuses that are remembered.
  static let reuseJournalLength = 1 << 15
}
