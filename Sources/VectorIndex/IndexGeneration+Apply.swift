import Bytes
import Synchronization

extension IndexGeneration {
  /// Applies what one batch does to this collection: kills slots, then assigns consecutive new ones
  /// to `births`, in order, and inserts a full tail into the graph. A batch at or before
  /// `appliedLSN` is skipped.
  ///
  /// A pure function of state and batch. Nothing is visible to searches before `publish`. Returns
  /// the new slots. A batch that does not fit throws `.corruptInput`, a full array
  /// `.capacityExceeded`; both leave the state as it was.
  @discardableResult
  package func apply(
    lsn: UInt64, deaths: [UInt32], births: [Birth]
  ) throws(IndexError) -> Range<Int> {
    let first = slotCount.load(ordering: .relaxed)
    guard lsn > appliedLSN else { return first..<first }
    let end = first + births.count
    try validate(deaths: deaths, births: births)
    let newColumns = try reserve(births: births)

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
    for array in arrays.perSlot { try array.extend(to: end) }
    try appendColumns(births, first: first, new: newColumns)
    for (index, birth) in births.enumerated() { try write(birth, slot: first + index, lsn: lsn) }
    slotCount.store(end, ordering: .releasing)
    appliedLSN = lsn
    try insertTailIfDue()
    return first..<end
  }

  private func validate(deaths: [UInt32], births: [Birth]) throws(IndexError) {
    let slots = slotCount.load(ordering: .relaxed)
    var seen = Set<UInt32>(minimumCapacity: deaths.count)
    for slot in deaths {
      guard Int(slot) < slots else {
        throw .corruptInput("slot \(slot) dies, but only \(slots) are assigned")
      }
      guard diedLSN(Int(slot)) == .max, seen.insert(slot).inserted else {
        throw .corruptInput("slot \(slot) dies twice")
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
    }
  }

  /// Makes room for everything that `births` may need, so that nothing fails half-way, and returns
  /// the columns that they bring.
  func reserve(births: [Birth]) throws(IndexError) -> [Column] {
    let slots = slotCount.load(ordering: .relaxed)
    let end = slots + births.count
    guard end <= IndexArrays.slotLimit else {
      throw .capacityExceeded(array: "slots", limitBytes: IndexArrays.slotLimit)
    }
    for array in arrays.perSlot { try array.reserve(end) }
    try arrays.exact.reserve(arrays.exact.count + births.count)
    try arrays.keyBytes.reserve(births.reduce(arrays.keyBytes.count) { $0 + $1.key.count })
    var upperRows = arrays.upperLinks.count
    for slot in graphCount.load(ordering: .relaxed)..<end { upperRows += level(slot) }
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
    let end = first + births.count
    for column in new {
      try column.ids.extend(to: end)
      add(column)
    }
    let count = columnCount.load(ordering: .relaxed)
    for number in 0..<count { try columns[number]?.ids.extend(to: end) }
    for (index, birth) in births.enumerated() {
      for value in birth.columns {
        guard let number = columnNumbers[value.field], let column = columns[number] else {
          continue
        }
        let id = try column.intern(value.value)
        column.ids.row(first + index).storeBytes(of: id, as: UInt32.self)
      }
    }
  }

  func write(_ birth: Birth, slot: Int, lsn: UInt64) throws(IndexError) {
    let lifetime = arrays.lifetimes.row(slot)
    lifetime.storeBytes(of: lsn, as: UInt64.self)
    lifetime.storeBytes(of: UInt64.max, toByteOffset: 8, as: UInt64.self)
    birth.hash.store(to: arrays.hashes.row(slot))
    dataDigest.insert(birth.hash)

    let keyStart = arrays.keyBytes.count
    try arrays.keyBytes.extend(to: keyStart + birth.key.count)
    birth.key.withUnsafeBytes { key in
      if let base = key.baseAddress, !key.isEmpty {
        arrays.keyBytes.row(keyStart).copyMemory(from: base, byteCount: key.count)
      }
    }
    arrays.keyReferences.row(slot).storeBytes(
      of: UInt64(keyStart) << 16 | UInt64(birth.key.count), as: UInt64.self)

    arrays.links.row(slot).initializeMemory(
      as: UInt32.self, repeating: IndexArrays.none, count: parameters.baseDegree)
    arrays.parents.row(slot).storeBytes(of: IndexArrays.none, as: UInt32.self)
    arrays.nodes.row(slot).storeBytes(of: 0, as: UInt32.self)

    let isLossless = birth.vector.withUnsafeBufferPointer { vector in
      guard let base = vector.baseAddress else { return false }
      arrays.inverseNorms?.row(slot).storeBytes(
        of: VectorNorm.inverse(base, dimensions: parameters.dimensions), as: Double.self)
      return encode(base, slot: slot)
    }
    guard !isLossless else {
      exactRowWord(slot).pointee.store(IndexArrays.none, ordering: .releasing)
      return
    }
    let row = arrays.exact.count
    try arrays.exact.extend(to: row + 1)
    birth.vector.withUnsafeBytes { vector in
      if let base = vector.baseAddress {
        arrays.exact.row(row).copyMemory(from: base, byteCount: vector.count)
      }
    }
    exactRowWord(slot).pointee.store(UInt32(row), ordering: .releasing)
  }

  /// Writes a slot's codes, once trained. Says whether they alone give the vector back.
  private func encode(_ vector: UnsafePointer<Float>, slot: Int) -> Bool {
    let dimensions = parameters.dimensions
    guard let quantizer else { return false }
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { buffer in
      guard let normalised = buffer.baseAddress else { return false }
      var input = vector
      if let inverseNorms = arrays.inverseNorms {
        let inverse = inverseNorms.row(slot).load(as: Double.self)
        VectorNorm.scale(vector, by: inverse, dimensions: dimensions, into: normalised)
        input = UnsafePointer(normalised)
      }
      let target = arrays.codes.row(slot).assumingMemoryBound(to: UInt8.self)
      let encoded = quantizer.encode(
        input, dimensions: dimensions, paddedTo: arrays.codes.strideBytes, into: target)
      clippedCount &+= UInt64(encoded.clipped)
      arrays.rowTerms.row(slot).storeBytes(of: encoded.rowTerm, as: UInt32.self)
      if let augments = arrays.augments {
        let norm = quantizer.norm(target, dimensions: dimensions)
        augments.row(slot).storeBytes(of: quantizer.augment(norm: norm), as: UInt32.self)
      }
      return quantizer.isIntegral && parameters.metric != .cosine && encoded.isLossless
    }
  }

  /// Trains the quantiser on the records so far and those of the batch, oldest first, and encodes
  /// the former. Searches that began before go on reading their float rows, which stay.
  private func train(with births: [Birth]) {
    let slots = slotCount.load(ordering: .relaxed)
    let present = (0..<slots).lazy.filter { !self.isAbsent($0) }.prefix(Quantizer.sampleLimit)
    let old = Array(present)
    let count = min(old.count + births.count, Quantizer.sampleLimit)
    guard count > 0 else { return }
    let quantizer = makeQuantizer(count: count) { index, vector in
      if index < old.count {
        _ = copyVector(old[index], to: vector)
      } else {
        _ = vector.update(fromContentsOf: births[index - old.count].vector)
      }
    }
    for slot in 0..<slots {
      for array in [arrays.codes, arrays.rowTerms, arrays.exactRows] { array.willWrite(row: slot) }
      arrays.augments?.willWrite(row: slot)
    }
    setQuantizer(quantizer)
    for slot in 0..<slots {
      guard let exact = exactVector(slot), encode(exact, slot: slot) else { continue }
      exactRowWord(slot).pointee.store(IndexArrays.none, ordering: .releasing)
    }
  }

  /// A quantiser trained on `count` vectors; `copy` writes the i-th as it was given.
  func makeQuantizer(
    count: Int, copy: (Int, UnsafeMutableBufferPointer<Float>) -> Void
  ) -> Quantizer {
    let dimensions = parameters.dimensions
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { vector in
      vector.initialize(repeating: 0)
      return Quantizer.train(metric: parameters.metric, dimensions: dimensions, count: count) {
        copy($0, vector)
        let base = vector.baseAddress.unsafelyUnwrapped
        if parameters.metric == .cosine {
          let inverse = VectorNorm.inverse(base, dimensions: dimensions)
          VectorNorm.scale(base, by: inverse, dimensions: dimensions, into: base)
        }
        return UnsafePointer(base)
      }
    }
  }

  /// The level of a slot's node: a pure function of the slot.
  func level(_ slot: Int) -> Int {
    NodeLevel.level(slot: slot, seed: parameters.seed, degree: parameters.degree)
  }
}
