import Synchronization
import VecDBBytes

/// What a slot holds.
extension IndexGeneration {
  /// The LSN of a slot's birth, UInt64.max where it is free.
  @inline(__always)
  func bornLSN(_ slot: Int) -> UInt64 { bornWord(slot).pointee.load(ordering: .relaxed) }

  @inline(__always)
  func bornWord(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    arrays.lifetimes.row(slot).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Whether a slot was dead already when this generation was built from another: its row is empty
  /// and it is no node of the graph.
  @inline(__always)
  func isAbsent(_ slot: Int) -> Bool { bornLSN(slot) == 0 }

  /// The LSN of a slot's death, UInt64.max while it lives.
  @inline(__always)
  func diedLSN(_ slot: Int) -> UInt64 {
    deathWord(slot).pointee.load(ordering: .relaxed)
  }

  @inline(__always)
  func deathWord(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    (arrays.lifetimes.row(slot) + 8).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  func exactRowWord(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    arrays.exactRows.row(slot).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// The number of the row that holds a slot's float vector; nil where its codes hold it exactly.
  @inline(__always)
  func exactRow(_ slot: Int) -> UInt32? {
    let row = exactRowWord(slot).pointee.load(ordering: .acquiring)
    guard row != IndexArrays.none else { return nil }
    // A damaged row number must not lead out of the array.
    let (offset, length) = (Int(row) &* arrays.exact.strideBytes, arrays.exact.strideBytes)
    return arrays.exact.isReadable(offset: offset, length: length) ? row : nil
  }

  /// A slot's float vector; nil where its codes hold it exactly.
  func exactVector(_ slot: Int) -> UnsafePointer<Float>? {
    exactRow(slot).map { row in
      UnsafePointer(arrays.exact.row(Int(row)).assumingMemoryBound(to: Float.self))
    }
  }

  func codes(_ slot: Int) -> UnsafePointer<UInt8> {
    UnsafePointer(arrays.codes.row(slot).assumingMemoryBound(to: UInt8.self))
  }

  /// Whether a slot is visible in `view`. Its death is looked at first: where a slot gets another
  /// record the birth is written first.
  @inline(__always)
  package func isVisible(_ slot: Int, in view: ReadView) -> Bool {
    slot < view.slotCount && view.lsn < deathWord(slot).pointee.load(ordering: .acquiring)
      && bornLSN(slot) <= view.lsn
  }

  /// Copies a slot's vector, bit for bit as it was given, to `target` (one value per dimension).
  /// False where the slot was never assigned, or holds nothing.
  package func copyVector(_ slot: Int, to target: UnsafeMutableBufferPointer<Float>) -> Bool {
    guard slot >= 0, slot < slotCount.load(ordering: .acquiring),
      target.count >= parameters.dimensions, let base = target.baseAddress
    else { return false }
    if let vector = exactVector(slot) {
      base.update(from: vector, count: parameters.dimensions)
    } else if parameters.metric == .hamming {
      BinaryCodes.unpack(codes(slot), dimensions: parameters.dimensions, into: base)
    } else if let quantizer, !usesRows {
      kernels.decodeCodes(
        codes(slot), parameters.dimensions, quantizer.scale, quantizer.offset, base)
    } else {
      return false
    }
    return true
  }

  /// A slot's vector, bit for bit as it was given; nil where the slot was never assigned.
  package func vector(_ slot: Int) -> [Float]? {
    var found = false
    let result = [Float](unsafeUninitializedCapacity: parameters.dimensions) { buffer, count in
      found = copyVector(slot, to: buffer)
      count = found ? parameters.dimensions : 0
    }
    return found ? result : nil
  }

  /// The UTF-8 bytes of a slot's key; nil where the slot was never assigned or its reference is
  /// damaged. The body must not keep the buffer.
  package func withKey<Result>(
    _ slot: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result? {
    guard slot >= 0, slot < slotCount.load(ordering: .acquiring) else { return nil }
    let reference = arrays.keyReferences.row(slot).load(as: UInt64.self)
    let (start, length) = (Int(reference >> 16), Int(reference & 0xffff))
    guard length <= Birth.maximumKeyBytes,
      arrays.keyBytes.isReadable(offset: start, length: length)
    else { return nil }
    return try body(UnsafeRawBufferPointer(start: arrays.keyBytes.row(start), count: length))
  }

  /// A slot's key; nil as above.
  package func key(_ slot: Int) -> String? { withKey(slot) { String(decoding: $0, as: UTF8.self) } }

  /// A slot's record hash; nil where the slot was never assigned.
  package func recordHash(_ slot: Int) -> Digest? {
    guard slot >= 0, slot < slotCount.load(ordering: .acquiring) else { return nil }
    return Digest(bytes: arrays.hashes.row(slot))
  }
}
