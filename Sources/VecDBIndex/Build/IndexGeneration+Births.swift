import Synchronization
import VecDBBytes

/// Writing what a record's slot holds.
extension IndexGeneration {
  /// Births in one batch from which on several threads write them.
  private static let parallelBirths = 64

  /// Writes the rows of new slots, of which `slots` has one per birth in ascending order. Threads
  /// write what lies in a slot's own rows; what is given out in the order of the births, keys and
  /// exact rows, this thread does.
  func write(
    _ births: ArraySlice<Birth>, slots: some RandomAccessCollection<Int>, lsn: (Int) -> UInt64
  ) throws(IndexError) {
    guard births.count >= Self.parallelBirths, threads > 1 else {
      for (birth, slot) in zip(births, slots) { try write(birth, slot: slot, lsn: lsn(slot)) }
      return
    }
    let builder = currentBuilder()
    let slots = Array(slots)
    var written = [OwnRows](repeating: OwnRows(), count: births.count)
    written.withUnsafeMutableBufferPointer { written in
      births.withUnsafeBufferPointer { births in
        builder.parallel(count: births.count, chunk: 8, least: 32) { _, index in
          written[index] = writeOwnRows(
            births[index].vector, births[index].hash, slot: slots[index])
        }
      }
    }
    for (index, slot) in slots.enumerated() {
      let number = births.startIndex + index
      try writeShared(
        births[number].key, births[number].hash, slot: slot, lsn: lsn(slot), &written[index])
    }
    let rows = written
    births.withUnsafeBufferPointer { births in
      builder.parallel(count: births.count, chunk: 8, least: 32) { _, index in
        finish(births[index].vector, slot: slots[index], rows[index])
      }
    }
  }

  /// Writes the rows of one slot. Its links and, where it is reused, the rows of the node that it
  /// was are empty already.
  func write(
    _ birth: Birth, slot: Int, isReused: Bool = false, lsn: UInt64
  ) throws(IndexError) {
    if isReused {
      freeKey(of: slot)
      freeExact(of: slot)
    }
    var rows = writeOwnRows(birth.vector, birth.hash, slot: slot, isReused: isReused)
    try writeShared(birth.key, birth.hash, slot: slot, lsn: lsn, &rows)
    finish(birth.vector, slot: slot, rows)
  }

  /// What writing a slot's own rows found out.
  private struct OwnRows {
    var encoded = EncodedSlot()
    /// Where the vector goes as floats, or `IndexArrays.none`.
    var exactRow = IndexArrays.none
  }

  /// Writes what no other slot has a part in. Any thread of the writer's.
  private func writeOwnRows(
    _ vector: [Float], _ hash: Digest, slot: Int, isReused: Bool = false
  ) -> OwnRows {
    if !isReused {
      arrays.links.row(slot).initializeMemory(
        as: UInt32.self, repeating: IndexArrays.none, count: parameters.baseDegree)
      arrays.nodes.row(slot).storeBytes(of: 0, as: UInt32.self)
    }
    arrays.parents.row(slot).storeBytes(of: IndexArrays.none, as: UInt32.self)
    hash.store(to: arrays.hashes.row(slot))
    return vector.withUnsafeBufferPointer { vector in
      guard let base = vector.baseAddress else { return OwnRows() }
      arrays.inverseNorms?.row(slot).storeBytes(
        of: VectorNorm.inverse(base, dimensions: parameters.dimensions), as: Double.self)
      return OwnRows(encoded: encode(base, slot: slot))
    }
  }

  /// Writes what depends on the births before: in their order, and on the writer's thread.
  private func writeShared(
    _ key: [UInt8], _ hash: Digest, slot: Int, lsn: UInt64, _ rows: inout OwnRows
  ) throws(IndexError) {
    dataDigest.insert(hash)
    clippedCount &+= UInt64(rows.encoded.clipped)
    try writeKey(key, slot: slot)
    bornWord(slot).pointee.store(lsn, ordering: .relaxed)
    deathWord(slot).pointee.store(.max, ordering: .releasing)
    if !rows.encoded.isLossless { rows.exactRow = try takeExactRow() }
  }

  /// Writes the vector where its codes do not give it back. Any thread of the writer's.
  private func finish(_ vector: [Float], slot: Int, _ rows: OwnRows) {
    guard rows.exactRow != IndexArrays.none else {
      exactRowWord(slot).pointee.store(IndexArrays.none, ordering: .releasing)
      return
    }
    vector.withUnsafeBufferPointer { writeExact($0, row: rows.exactRow, slot: slot) }
  }

  /// What encoding a vector found out.
  struct EncodedSlot {
    /// Components that lay outside the quantiser's range.
    var clipped: UInt32 = 0
    /// Whether the codes alone give the vector back.
    var isLossless = false
  }

  /// Writes a slot's codes, once trained.
  func encode(_ vector: UnsafePointer<Float>, slot: Int) -> EncodedSlot {
    let dimensions = parameters.dimensions
    guard let quantizer, !usesRows else { return EncodedSlot() }
    let codes = arrays.codes.row(slot).assumingMemoryBound(to: UInt8.self)
    let stride = arrays.codes.strideBytes
    if parameters.metric == .hamming {
      arrays.rowTerms.row(slot).storeBytes(of: 0, as: UInt32.self)
      let isLossless = BinaryCodes.pack(
        vector, dimensions: dimensions, paddedTo: stride, into: codes)
      return EncodedSlot(isLossless: isLossless)
    }
    if let weights = arrays.weights {
      let row = quantizer.encodeRow(
        vector, dimensions: dimensions, paddedTo: stride, into: codes)
      arrays.rowTerms.row(slot).storeBytes(of: row.term, as: UInt32.self)
      weights.row(slot).storeBytes(of: row.weight, as: UInt32.self)
      return EncodedSlot(clipped: row.clipped, isLossless: row.isLossless)
    }
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: dimensions) { buffer in
      guard let normalised = buffer.baseAddress else { return EncodedSlot() }
      var input = vector
      if let inverseNorms = arrays.inverseNorms {
        let inverse = inverseNorms.row(slot).load(as: Double.self)
        VectorNorm.scale(vector, by: inverse, dimensions: dimensions, into: normalised)
        input = UnsafePointer(normalised)
      }
      let encoded = quantizer.encode(
        input, dimensions: dimensions, paddedTo: stride, into: codes)
      arrays.rowTerms.row(slot).storeBytes(of: encoded.rowTerm, as: UInt32.self)
      let isLossless =
        quantizer.isIntegral && parameters.metric != .cosine && encoded.isLossless
      return EncodedSlot(clipped: encoded.clipped, isLossless: isLossless)
    }
  }
}
