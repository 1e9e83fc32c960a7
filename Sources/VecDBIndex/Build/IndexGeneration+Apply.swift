import Synchronization
import VecDBBytes

extension IndexGeneration {
  /// Applies what one batch does to this collection: kills slots; then gives the first of `births`
  /// the free slots `reusing`, which must be the next ones of the list, and consecutive new ones to
  /// the others, in order. With `absent`, `reusing` are slots that the generation was built without.
  /// Reused slots are inserted into the graph at once, a tail when it is full.
  /// A batch at or before `appliedLSN` is skipped.
  ///
  /// A pure function of state and batch. Nothing is visible to searches before `publish`. Returns
  /// the new slots. A batch that does not fit throws `.corruptInput`, a full array
  /// `.capacityExceeded`; both leave the state as it was.
  @discardableResult
  package func apply(
    lsn: UInt64, deaths: [UInt32], births: [Birth], reusing reused: [UInt32] = [],
    absent: Bool = false
  ) throws(IndexError) -> Range<Int> {
    let first = slotCount.load(ordering: .relaxed)
    guard lsn > appliedLSN else { return first..<first }
    guard reused.count <= births.count else {
      throw .corruptInput("\(reused.count) slots are reused for \(births.count) records")
    }
    let end = first + births.count - reused.count
    try validate(deaths: deaths, births: births)
    if absent { try requireAbsent(reused) } else { try requireFree(reused) }
    let newColumns = try reserve(births: births, reusing: reused)

    for death in deaths {
      let slot = Int(death)
      arrays.lifetimes.willWrite(row: slot)
      deathWord(slot).pointee.store(lsn, ordering: .relaxed)
      dataDigest.remove(Digest(bytes: arrays.hashes.row(slot)))
    }
    if !deaths.isEmpty {
      deadCount.store(deadCount.load(ordering: .relaxed) + deaths.count, ordering: .releasing)
    }
    if !isTrained.load(ordering: .relaxed), end >= Self.trainingThreshold {
      train(with: births)
    }
    if !births.isEmpty { awaitReaders() }
    if absent { takeAbsent(reused) } else { takeFree(reused) }
    for array in slotArrays { try array.extend(to: end) }
    func slot(_ index: Int) -> Int {
      index < reused.count ? Int(reused[index]) : first + index - reused.count
    }
    try writeColumns(births, end: end, new: newColumns, reusedCount: reused.count, slot)
    for (birth, slot) in zip(births, reused) {
      try write(birth, slot: Int(slot), isReused: true, lsn: lsn)
    }
    try write(births.dropFirst(reused.count), slots: first..<end) { _ in lsn }
    slotCount.store(end, ordering: .releasing)
    noteReuse(of: reused)
    appliedLSN = lsn
    // An absent slot behind the graph's end goes in with the tail.
    let nodes = reused.filter { $0 < graphCount.load(ordering: .relaxed) }
    if !nodes.isEmpty { try currentBuilder().insert(nodes) }
    try insertTailIfDue()
    return first..<end
  }

  private func validate(deaths: [UInt32], births: [Birth]) throws(IndexError) {
    let slots = slotCount.load(ordering: .relaxed)
    var seen = Set<UInt32>(minimumCapacity: deaths.count)
    for slot in deaths {
      guard Int(slot) < slots else {
        throw .corruptInput("slot \(slot) gets a tombstone, but only \(slots) slots are assigned")
      }
      guard diedLSN(Int(slot)) == .max, seen.insert(slot).inserted else {
        throw .corruptInput("slot \(slot) gets a second tombstone")
      }
    }
    for birth in births {
      guard birth.vector.count == parameters.dimensions else {
        throw .corruptInput(
          "a vector has \(birth.vector.count) dimensions, not \(parameters.dimensions)")
      }
      guard birth.key.count <= Birth.maximumKeyBytes else {
        throw .corruptInput("a key has \(birth.key.count) bytes, more than 1024")
      }
      guard birth.columns.allSatisfy({ $0.field.count <= Column.fieldLimitBytes }) else {
        throw .corruptInput("a metadata field's name has more than 256 bytes")
      }
      if parameters.metric == .cosine, !birth.vector.contains(where: { $0 != 0 }) {
        throw .corruptInput("a zero vector has no direction to measure a cosine with")
      }
      if parameters.metric == .hamming, !birth.vector.allSatisfy({ $0 == 0 || $0 == 1 }) {
        throw .corruptInput("a binary vector has components other than 0 and 1")
      }
    }
  }

  /// Makes room for everything that `births` may need, so that nothing fails half-way, and returns
  /// the columns that they bring.
  func reserve(births: [Birth], reusing reused: [UInt32] = []) throws(IndexError) -> [Column] {
    let slots = slotCount.load(ordering: .relaxed)
    let end = slots + births.count
    guard end <= IndexArrays.slotLimit else {
      throw .capacityExceeded(array: "slots", limitBytes: IndexArrays.slotLimit)
    }
    for array in slotArrays { try array.reserve(end) }
    try arrays.exact.reserve(arrays.exact.count + births.count)
    try arrays.keyBytes.reserve(
      births.reduce(arrays.keyBytes.count) { $0 + $1.key.count + Self.keyGranuleBytes })
    var upperRows = arrays.upperLinks.count
    for slot in graphCount.load(ordering: .relaxed)..<end { upperRows += level(slot) }
    // Reused slots may lack theirs, where the graph was built without them.
    for slot in reused { upperRows += level(Int(slot)) }
    try arrays.upperLinks.reserve(upperRows)

    var new: [Column] = []
    var newFields = Set<[UInt8]>()
    let known = columnCount.load(ordering: .relaxed)
    for birth in births where known + new.count < Column.limit {
      for value in birth.columns where columnNumbers[value.field] == nil {
        guard known + new.count < Column.limit else { break }
        guard newFields.insert(value.field).inserted else { continue }
        new.append(try makeColumn(number: known + new.count, field: value.field))
      }
    }
    for number in 0..<known { try columns[number]?.reserve(slots: end, births: births.count) }
    for column in new { try column.reserve(slots: end, births: births.count) }
    return new
  }

  func appendColumns(
    _ births: [Birth], first: Int, new: [Column]
  ) throws(IndexError) {
    try writeColumns(births, end: first + births.count, new: new, reusedCount: 0) { first + $0 }
  }

  private func writeColumns(
    _ births: [Birth], end: Int, new: [Column], reusedCount: Int, _ slot: (Int) -> Int
  ) throws(IndexError) {
    for column in new {
      try column.ids.extend(to: end)
      add(column)
    }
    let count = columnCount.load(ordering: .relaxed)
    for number in 0..<count {
      guard let column = columns[number] else { continue }
      try column.ids.extend(to: end)
      for index in 0..<reusedCount {
        column.idWord(slot(index)).pointee.store(Column.missingID, ordering: .relaxed)
      }
    }
    for (index, birth) in births.enumerated() {
      for value in birth.columns {
        guard let number = columnNumbers[value.field], let column = columns[number] else {
          continue
        }
        let id = try column.intern(value.value)
        column.idWord(slot(index)).pointee.store(id, ordering: .relaxed)
      }
    }
  }

  /// Trains the quantiser on the records so far and those of the batch, oldest first, and encodes
  /// the former. Searches that began before go on reading their float rows, which stay.
  private func train(with births: [Birth]) {
    let slots = slotCount.load(ordering: .relaxed)
    let old = (0..<slots).filter { !isAbsent($0) }
    let all = old.count + births.count
    let count = min(all, Quantizer.sampleLimit)
    guard count > 0 else { return }
    let (quantizer, limit) = makeQuantizer(count: count) { number, vector in
      let index = sampleIndex(number, of: count, outOf: all)
      if index < old.count {
        _ = copyVector(old[index], to: vector)
      } else {
        _ = vector.update(fromContentsOf: births[index - old.count].vector)
      }
    }
    if prefersRows(quantizer) {
      setQuantizer(quantizer)
      return traversesRows.store(true, ordering: .releasing)
    }
    for slot in 0..<slots {
      for array in [arrays.codes, arrays.rowTerms, arrays.exactRows] { array.willWrite(row: slot) }
      arrays.weights?.willWrite(row: slot)
    }
    setQuantizer(quantizer, excessLimit: limit)
    for slot in 0..<slots {
      guard let exact = exactVector(slot) else { continue }
      let encoded = encode(exact, slot: slot)
      clippedCount &+= UInt64(encoded.clipped)
      guard encoded.isLossless else { continue }
      exactRowWord(slot).pointee.store(IndexArrays.none, ordering: .releasing)
    }
  }

  /// Which of `all` vectors is the number-th of a sample of `count`: spread over all of them, so
  /// that codes fit new records as well as old ones. Version 0.1 took the first ones.
  func sampleIndex(_ number: Int, of count: Int, outOf all: Int) -> Int {
    parameters.codes == .bytes ? number : number * all / max(1, count)
  }

  /// A quantiser trained on `count` vectors, and how far a query may lie outside of its range;
  /// `copy` writes the i-th as it was given.
  func makeQuantizer(
    count: Int, copy: (Int, UnsafeMutableBufferPointer<Float>) -> Void
  ) -> (Quantizer, excessLimit: Float) {
    let (metric, dimensions) = (parameters.metric, parameters.dimensions)
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { vector in
      vector.initialize(repeating: 0)
      func prepared(_ index: Int) -> UnsafePointer<Float> {
        copy(index, vector)
        let base = vector.baseAddress.unsafelyUnwrapped
        if metric == .cosine {
          let inverse = VectorNorm.inverse(base, dimensions: dimensions)
          VectorNorm.scale(base, by: inverse, dimensions: dimensions, into: base)
        }
        return UnsafePointer(base)
      }
      let quantizer = Quantizer.train(
        metric: metric, dimensions: dimensions, count: count, vector: prepared)
      guard parameters.codes == .automatic, metric == .l2 || metric == .cosine else {
        return (quantizer, .infinity)
      }
      return (
        quantizer,
        quantizer.excessLimit(dimensions: dimensions, count: count, vector: prepared)
      )
    }
  }

  /// The level of a slot's node: a pure function of the slot.
  func level(_ slot: Int) -> Int {
    NodeLevel.level(slot: slot, seed: parameters.seed, degree: parameters.degree)
  }
}
