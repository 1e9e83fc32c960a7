import Glibc
import Synchronization
import VecDBBytes

/// Building a generation from another one that goes on serving.
///
/// The new generation is a function of the old one's state at the batch `origin`, of its own
/// parameters and of the batches after `origin`: first it takes over the slots as they were then
/// (`adopt`), then it inserts them into its graph as one batch (`insertAdopted`), then it applies
/// what the old one was given since, batch by batch (`follow`). Slots keep their numbers. Slots that
/// were dead at `origin` are *absent*: they have no vector, no key and no node.
///
/// All of it reads only what the old generation has published, so that it runs beside the old one's
/// writer. It relies on a slot being given out once: while a generation is built from another or
/// follows it, no dead slot may be freed. The old one's writer may take slots that were free at
/// `origin`: they are absent here, and `follow` fills them.
extension IndexGeneration {
  /// Takes over up to `limit` further slots of those below `count` that `source` had at `origin`.
  /// Returns whether slots are left. The first call trains the quantiser.
  package func adopt(
    _ source: IndexGeneration, at origin: UInt64, count: Int, limit: Int
  ) throws(IndexError) -> Bool {
    let first = slotCount.load(ordering: .relaxed)
    guard first < count else { return false }
    // Whether slots are in the order of their births, and nothing that the leader counts.
    if first == 0, source.reuseSequence.load(ordering: .acquiring) > 0 {
      countReuse(from: Self.foreignReuses)
    }
    let leavesOutDead = source.livingSlotCount(at: origin, below: count) >= Self.trainingThreshold
    if first == 0, count >= Self.trainingThreshold {
      trainToAdopt(source, at: origin, count: count, living: leavesOutDead)
    }
    let end = min(count, first + max(1, limit))
    var births: [Birth?] = []
    births.reserveCapacity(end - first)
    for slot in first..<end {
      let isLeftOut =
        !source.wasTaken(slot, at: origin)
        || (leavesOutDead && slot > 0 && source.diedLSN(slot) <= origin)
      births.append(isLeftOut ? nil : try source.birth(of: slot))
    }
    let present = births.compactMap { $0 }
    let new = try reserve(births: present)
    for array in slotArrays { try array.reserve(end) }
    for array in slotArrays { try array.extend(to: end) }
    let empty = Birth(key: [], vector: [], hash: .zero)
    try appendColumns(births.map { $0 ?? empty }, first: first, new: new)
    let slots = (first..<end).filter { births[$0 - first] != nil }
    try write(present[...], slots: slots, lsn: source.bornLSN)
    let absent = births.count - present.count
    var dead = absent
    for (index, birth) in births.enumerated() {
      let slot = first + index
      guard let birth else {
        writeAbsent(slot)
        continue
      }
      let died = source.diedLSN(slot)
      if died <= origin {
        deathWord(slot).pointee.store(died, ordering: .relaxed)
        dataDigest.remove(birth.hash)
        dead += 1
      }
    }
    deadCount.store(deadCount.load(ordering: .relaxed) + dead, ordering: .releasing)
    absentCount.store(absentCount.load(ordering: .relaxed) + absent, ordering: .releasing)
    slotCount.store(end, ordering: .releasing)
    return end < count
  }

  /// Inserts the next sub-batch of the adopted slots. Returns whether any are left; when none are,
  /// the generation is as of `origin`, and `follow` may go on from there.
  package func insertAdopted(at origin: UInt64) throws(IndexError) -> Bool {
    let slots = slotCount.load(ordering: .relaxed)
    let isWanted = isTrained.load(ordering: .relaxed) && slots >= Self.tailLimit
    if isWanted, try currentBuilder().insertNext(),
      graphCount.load(ordering: .relaxed) < slots
    {
      return true
    }
    appliedLSN = max(appliedLSN, origin)
    codeFit.prove(nodes: graphCount.load(ordering: .relaxed), lsn: appliedLSN)
    return false
  }

  /// Applies what `leader` was given after this generation's last batch, in the same batches, until
  /// `lsn` (which the leader must have published) is reached or about `limit` records were taken.
  /// Returns whether `lsn` is reached.
  package func follow(
    _ leader: IndexGeneration, through lsn: UInt64, limit: Int = .max
  ) throws(IndexError) -> Bool {
    guard lsn > appliedLSN else { return true }
    let end = leader.slotCount.load(ordering: .acquiring)
    var slot = slotCount.load(ordering: .relaxed)
    var (deaths, refills) = leader.changes(
      after: appliedLSN, through: lsn, below: slot, since: self)
    var taken = 0
    while true {
      let nextBirth = slot < end ? leader.bornLSN(slot) : .max
      let next = min(nextBirth, deaths.first?.lsn ?? .max, refills.first?.lsn ?? .max)
      guard next <= lsn else { break }
      if taken >= limit { return false }
      let dying = deaths.prefix { $0.lsn == next }
      deaths = deaths.dropFirst(dying.count)
      let refilled = refills.prefix { $0.lsn == next }
      refills = refills.dropFirst(refilled.count)
      let (reused, areAbsent) = try orderForReuse(refilled.map(\.slot))
      var births: [Birth] = []
      for slot in reused { births.append(try leader.birth(of: Int(slot))) }
      while slot < end, leader.bornLSN(slot) == next {
        births.append(try leader.birth(of: slot))
        slot += 1
      }
      try apply(
        lsn: next, deaths: dying.map(\.slot), births: births, reusing: reused, absent: areAbsent)
      taken += births.count + dying.count
    }
    appliedLSN = lsn
    return true
  }

  /// What a generation counts reuses from that is built from one where slots were reused: beyond
  /// whatever that one counts, so that the two are never equal by chance.
  private static let foreignReuses: UInt64 = 1 << 40

  /// Takes the list of free slots of the generation that this one was built from and has caught up
  /// with, so that writes go on reusing slots. Both keep the same list from then on.
  ///
  /// Takes all of it or, where a slot is none of this graph's, nothing.
  package func takeFreeSlots(of source: IndexGeneration) {
    countReuse(on: source)
    var slots: [UInt32] = []
    while let slot = source.freeSlot(after: slots.last), slots.count <= source.freeSlotCount {
      slots.append(slot)
    }
    let nodes = graphCount.load(ordering: .relaxed)
    guard freeSlotCount == 0, slots.allSatisfy({ $0 < nodes && isAbsent(Int($0)) }) else { return }
    for slot in slots.reversed() { makeFree(Int(slot)) }
  }

  // MARK: What is read of the old generation

  /// Whether a slot had a record, alive or dead, at a batch since which no slot was freed.
  private func wasTaken(_ slot: Int, at lsn: UInt64) -> Bool {
    !isAbsent(slot) && bornLSN(slot) <= lsn
  }

  private func livingSlotCount(at lsn: UInt64, below count: Int) -> Int {
    (0..<count).reduce(0) { $0 + (wasTaken($1, at: lsn) && diedLSN($1) > lsn ? 1 : 0) }
  }

  private typealias Change = (lsn: UInt64, slot: UInt32)

  /// Deaths, and births in slots below `known`, each in the order of their batches. None are looked
  /// for where the follower's counts say that there are no new ones.
  private func changes(
    after first: UInt64, through last: UInt64, below known: Int, since follower: IndexGeneration
  ) -> (deaths: ArraySlice<Change>, refills: ArraySlice<Change>) {
    let reuses = reuseSequence.load(ordering: .acquiring)
    guard
      deadSlotCount != follower.deadSlotCount
        || reuses != follower.reuseSequence.load(ordering: .relaxed)
    else { return ([], []) }
    var (deaths, refills): ([Change], [Change]) = ([], [])
    for slot in 0..<slotCount.load(ordering: .acquiring) {
      let (born, died) = (bornLSN(slot), diedLSN(slot))
      if slot < known, born > first, born <= last { refills.append((born, UInt32(slot))) }
      if died > first, died <= last { deaths.append((died, UInt32(slot))) }
    }
    func inOrder(_ changes: [Change]) -> ArraySlice<Change> {
      changes.sorted { ($0.lsn, $0.slot) < ($1.lsn, $1.slot) }[...]
    }
    return (inOrder(deaths), inOrder(refills))
  }

  /// A slot as the batch that brought it had it, as far as an index needs it.
  private func birth(of slot: Int) throws(IndexError) -> Birth {
    guard let vector = vector(slot), let hash = recordHash(slot),
      let key = withKey(slot, { Array($0) })
    else { throw .corruptState("slot \(slot) cannot be read") }
    var values: [ColumnValue] = []
    for number in 0..<columnCount.load(ordering: .acquiring) {
      guard let column = columns[number] else { continue }
      let id = column.ids.row(slot).load(as: UInt32.self)
      switch id {
      case Column.missingID: continue
      case Column.overflowID:
        // Any value too long for the dictionary will do: none of it is kept.
        let long = [UInt8](repeating: 0, count: Column.valueLimitBytes + 1)
        values.append(ColumnValue(field: column.field, value: long))
      default:
        guard let value = column.value(entry: Int(id - Column.firstEntryID)) else {
          throw .corruptState("a column of slot \(slot) cannot be read")
        }
        values.append(ColumnValue(field: column.field, value: Array(value)))
      }
    }
    return Birth(key: key, vector: vector, hash: hash, columns: values)
  }

  // MARK: Writing

  /// Trains on the first slots that will be present, as if they had come in one batch.
  private func trainToAdopt(
    _ source: IndexGeneration, at origin: UInt64, count: Int, living: Bool
  ) {
    let all = (0..<count).filter {
      source.wasTaken($0, at: origin) && (!living || source.diedLSN($0) > origin)
    }
    let sample = min(all.count, Quantizer.sampleLimit)
    guard sample > 0 else { return }
    let (quantizer, limit) = makeQuantizer(count: sample) { number, vector in
      _ = source.copyVector(all[sampleIndex(number, of: sample, outOf: all.count)], to: vector)
    }
    setQuantizer(quantizer, excessLimit: limit)
    if prefersRows(quantizer) { traversesRows.store(true, ordering: .releasing) }
  }

  private func writeAbsent(_ slot: Int) {
    arrays.links.row(slot).initializeMemory(
      as: UInt32.self, repeating: IndexArrays.none, count: parameters.baseDegree)
    arrays.parents.row(slot).storeBytes(of: IndexArrays.none, as: UInt32.self)
    exactRowWord(slot).pointee.store(IndexArrays.none, ordering: .relaxed)
  }
}

/// Holding two generations of the same records against each other.
extension IndexGeneration {
  /// How two generations differ in the records that are visible at one batch.
  package struct Difference: Sendable, Hashable {
    /// Visible in the first.
    package var count = 0
    /// Of these, not visible in the second.
    package var missing = 0
    /// Visible in the second alone.
    package var surplus = 0
    /// Visible in both with another vector, key or hash.
    package var altered = 0

    package var isNone: Bool { missing == 0 && surplus == 0 && altered == 0 }
  }

  /// The batch that brought the record of a slot.
  package func birthLSN(of slot: Int) -> UInt64 {
    slot < slotCount.load(ordering: .acquiring) ? bornLSN(slot) : .max
  }

  /// Compares every slot of both, bit for bit; both views must be of the same batch.
  package func difference(
    from other: IndexGeneration, at view: ReadView, _ otherView: ReadView
  ) -> Difference {
    var result = Difference()
    let dimensions = parameters.dimensions
    let own = UnsafeMutablePointer<Float>.allocate(capacity: dimensions)
    let others = UnsafeMutablePointer<Float>.allocate(capacity: dimensions)
    defer {
      own.deallocate()
      others.deallocate()
    }
    for slot in 0..<max(view.slotCount, otherView.slotCount) {
      let isHere = isVisible(slot, in: view)
      let isThere = other.isVisible(slot, in: otherView)
      if isHere { result.count += 1 }
      guard isHere, isThere else {
        if isHere { result.missing += 1 }
        if isThere { result.surplus += 1 }
        continue
      }
      let isEqual =
        recordHash(slot) == other.recordHash(slot)
        && copyVector(slot, to: UnsafeMutableBufferPointer(start: own, count: dimensions))
        && other.copyVector(slot, to: UnsafeMutableBufferPointer(start: others, count: dimensions))
        && memcmp(own, others, dimensions * 4) == 0
        && withKey(slot, { Array($0) }) == other.withKey(slot, { Array($0) })
      if !isEqual { result.altered += 1 }
    }
    return result
  }
}
