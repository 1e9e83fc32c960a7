import Synchronization

/// Space for keys and exact vectors, given out again after slots were reused, so that neither array
/// grows without end.
///
/// A key takes a chunk of whole granules. Chunks of one size that nobody uses form a list through
/// their first 8 bytes; rows of exact vectors through their first 4.
extension IndexGeneration {
  static let keyGranuleBytes = 8
  /// Sizes of chunks, in granules, from 0 on.
  static let keySizeCount = Birth.maximumKeyBytes / keyGranuleBytes + 1
  private static let noChunk = UInt64.max

  private static func keySize(_ bytes: Int) -> Int {
    (bytes + keyGranuleBytes - 1) / keyGranuleBytes
  }

  /// Writes a slot's key.
  func writeKey(_ key: [UInt8], slot: Int) throws(IndexError) {
    let size = Self.keySize(key.count)
    let start: Int
    if let chunk = freeKeyChunks[size] {
      start = Int(chunk)
      arrays.keyBytes.willWrite(bytes: start..<start + size * Self.keyGranuleBytes)
      let next = arrays.keyBytes.row(start).loadUnaligned(as: UInt64.self)
      let end = UInt64(arrays.keyBytes.count - size * Self.keyGranuleBytes)
      freeKeyChunks[size] = next <= end ? next : nil
    } else {
      start = arrays.keyBytes.count
      try arrays.keyBytes.extend(to: start + size * Self.keyGranuleBytes)
    }
    key.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress, !bytes.isEmpty {
        arrays.keyBytes.row(start).copyMemory(from: base, byteCount: bytes.count)
      }
    }
    arrays.keyReferences.row(slot).storeBytes(
      of: UInt64(start) << 16 | UInt64(key.count), as: UInt64.self)
  }

  /// Gives back the chunk of a slot's key. Only where nobody reads it any more.
  func freeKey(of slot: Int) {
    let reference = arrays.keyReferences.row(slot).load(as: UInt64.self)
    let (start, size) = (Int(reference >> 16), Self.keySize(Int(reference & 0xffff)))
    guard size > 0, size < Self.keySizeCount,
      start + size * Self.keyGranuleBytes <= arrays.keyBytes.count
    else { return }
    arrays.keyBytes.willWrite(bytes: start..<start + Self.keyGranuleBytes)
    arrays.keyBytes.row(start).storeBytes(of: freeKeyChunks[size] ?? Self.noChunk, as: UInt64.self)
    freeKeyChunks[size] = UInt64(start)
  }

  /// A row for a slot's vector as floats, which must be written before the slot leads to it.
  func takeExactRow() throws(IndexError) -> UInt32 {
    guard freeExactRow != IndexArrays.none else {
      let row = arrays.exact.count
      try arrays.exact.extend(to: row + 1)
      return UInt32(row)
    }
    let row = freeExactRow
    arrays.exact.willWrite(row: Int(row))
    let next = arrays.exact.row(Int(row)).load(as: UInt32.self)
    freeExactRow = Int(next) < arrays.exact.count ? next : IndexArrays.none
    return row
  }

  /// Writes a slot's vector to a row taken for it.
  func writeExact(_ vector: UnsafeBufferPointer<Float>, row: UInt32, slot: Int) {
    let bytes = UnsafeRawBufferPointer(vector)
    if let base = bytes.baseAddress {
      arrays.exact.row(Int(row)).copyMemory(from: base, byteCount: bytes.count)
    }
    exactRowWord(slot).pointee.store(row, ordering: .releasing)
  }

  /// Gives back the row of a slot's vector, if it has one. Only where nobody reads it any more.
  func freeExact(of slot: Int) {
    let row = exactRowWord(slot).pointee.load(ordering: .relaxed)
    guard row != IndexArrays.none, Int(row) < arrays.exact.count else { return }
    arrays.exact.willWrite(row: Int(row))
    arrays.exact.row(Int(row)).storeBytes(of: freeExactRow, as: UInt32.self)
    freeExactRow = row
  }
}
