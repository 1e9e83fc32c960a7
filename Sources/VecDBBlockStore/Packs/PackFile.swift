import VecDBBytes
import VecDBFiles

/// A file of blocks that one checkpoint wrote; immutable from the moment it has its name.
///
/// Layout, little-endian. Every byte of the file is covered by a check:
///
///     page 0: magic "VDBPACK\0", version u32, page size u32, number u64, lsn u64,
///             CRC-32C of these 32 bytes u32, zeros to the end of the page
///     blocks, each from the next page boundary on, zeros to the end of its page
///     table:  for each block: SHA-256 32 bytes, offset u64, length u64
///     footer: offset of the table u64, number of blocks u64,
///             SHA-256 of page 0, the table and the two numbers before it, magic "VDBPEND\0"
package final class PackFile: Sendable {
  static let magic = Array("VDBPACK\0".utf8)
  static let endMagic = Array("VDBPEND\0".utf8)
  static let version: UInt32 = 1
  static let entrySizeBytes = 48
  static let footerSizeBytes = 56
  /// More blocks than any pack has: 16 TiB of full ones.
  static let entryLimit = 1 << 24

  struct Entry: Sendable, Equatable {
    var hash: Digest
    var offsetBytes: Int
    var lengthBytes: Int
  }

  let path: String
  /// The number of the checkpoint that wrote it; also its name.
  let number: UInt64
  let lsn: UInt64
  let sizeBytes: Int
  /// In order of offset.
  let entries: [Entry]
  let handle: any FileHandle

  /// The sum of the blocks' lengths.
  var contentBytes: Int { entries.reduce(0) { $0 + $1.lengthBytes } }

  static func fileName(_ number: UInt64) -> String { fixedWidth(number) + ".pack" }

  /// The number in a pack's file name; nil if it is not one.
  static func number(fileName: String) -> UInt64? {
    guard fileName.hasSuffix(".pack") else { return nil }
    return parseFixedWidth(fileName.dropLast(5))
  }

  /// Reads and proves the header, the table and the footer, not the blocks. Throws `.corrupt` or
  /// `.unknownVersion`.
  init(opening path: String, number: UInt64, fileSystem: any FileSystem) throws {
    let handle = try fileSystem.open(path, .read)
    let size = try handle.sizeBytes()
    func corrupt(_ message: String) -> StoreError {
      StoreError(.corrupt, "the pack \(message)", at: path, remedy: Remedy.restore)
    }
    guard size >= packPageSizeBytes + Self.footerSizeBytes else {
      throw corrupt("is cut short: it has \(size) bytes")
    }
    let page = try Self.read(handle, at: 0, count: packPageSizeBytes)
    lsn = try page.withUnsafeBytes { try Self.checkHeader($0, number: number, path: path) }
    let footer = try Self.read(
      handle, at: size - Self.footerSizeBytes, count: Self.footerSizeBytes)
    let (tableOffset, count, digest) = try footer.withUnsafeBytes { buffer in
      try decoding("pack's footer", at: path, remedy: Remedy.restore) {
        var reader = ByteReader(buffer)
        let offset = try reader.read(UInt64.self, "table offset")
        let count = try reader.read(UInt64.self, "block count")
        let digest = try reader.readDigest("hash")
        guard try reader.readRaw(count: 8, "magic").elementsEqual(Self.endMagic) else {
          throw reader.failure("magic")
        }
        return (offset, count, digest)
      }
    }
    guard count <= UInt64(Self.entryLimit), tableOffset <= UInt64(size),
      Int(tableOffset) + Int(count) * Self.entrySizeBytes + Self.footerSizeBytes == size
    else {
      throw corrupt("has a footer that does not fit its size of \(size) bytes")
    }
    let table = try Self.read(
      handle, at: Int(tableOffset), count: Int(count) * Self.entrySizeBytes)
    var hasher = SHA256()
    hasher.update(page)
    hasher.update(table)
    hasher.update(tableOffset)
    hasher.update(count)
    guard hasher.finalize() == digest else {
      throw corrupt("has a header or table that does not match its SHA-256")
    }
    entries = try table.withUnsafeBytes { buffer in
      try decoding("pack's table", at: path, remedy: Remedy.restore) {
        try Self.readTable(buffer, count: Int(count), end: Int(tableOffset))
      }
    }
    self.path = path
    self.number = number
    self.sizeBytes = size
    self.handle = handle
  }

  private static func checkHeader(
    _ page: UnsafeRawBufferPointer, number: UInt64, path: String
  ) throws -> UInt64 {
    try decoding("pack's header", at: path, remedy: Remedy.restore) {
      var reader = ByteReader(page)
      guard try reader.readRaw(count: 8, "magic").elementsEqual(magic) else {
        throw reader.failure("magic")
      }
      let version = try reader.read(UInt32.self, "version")
      let pageSize = try reader.read(UInt32.self, "page size")
      let storedNumber = try reader.read(UInt64.self, "number")
      let lsn = try reader.read(UInt64.self, "lsn")
      let covered = UnsafeRawBufferPointer(rebasing: page.prefix(reader.offset))
      guard try reader.read(UInt32.self, "checksum") == CRC32C.checksum(covered) else {
        throw reader.failure("checksum")
      }
      guard version == Self.version else {
        throw StoreError(
          .unknownVersion, "the pack has the unknown version \(version)", at: path,
          remedy: Remedy.upgrade)
      }
      guard pageSize == UInt32(packPageSizeBytes) else { throw reader.failure("page size") }
      guard storedNumber == number else { throw reader.failure("number") }
      return lsn
    }
  }

  private static func readTable(
    _ table: UnsafeRawBufferPointer, count: Int, end: Int
  ) throws -> [Entry] {
    var reader = ByteReader(table)
    var entries: [Entry] = []
    entries.reserveCapacity(count)
    var next = packPageSizeBytes
    for _ in 0..<count {
      let hash = try reader.readDigest("hash")
      let offset = try reader.read(UInt64.self, "offset")
      let length = try reader.read(UInt64.self, "length")
      guard offset == UInt64(next), length > 0, length <= UInt64(storedBlockLimitBytes),
        next + Int(length) <= end
      else { throw reader.failure("place") }
      entries.append(Entry(hash: hash, offsetBytes: next, lengthBytes: Int(length)))
      next = pageAligned(next + Int(length))
    }
    guard next == end else { throw reader.failure("end of the blocks") }
    return entries
  }

  static func header(number: UInt64, lsn: UInt64) -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: packPageSizeBytes)
    writer.write(raw: magic)
    writer.write(version)
    writer.write(UInt32(packPageSizeBytes))
    writer.write(number)
    writer.write(lsn)
    writer.write(CRC32C.checksum(writer.bytes))
    writer.write(raw: repeatElement(UInt8(0), count: packPageSizeBytes - writer.count))
    return writer.bytes
  }

  /// The table and the footer of a pack whose blocks end, page-aligned, at `offset`.
  static func trailer(header: [UInt8], entries: [Entry], at offset: Int) -> [UInt8] {
    var table = ByteWriter(reservingCapacity: entries.count * entrySizeBytes + footerSizeBytes)
    for entry in entries {
      table.write(entry.hash)
      table.write(UInt64(entry.offsetBytes))
      table.write(UInt64(entry.lengthBytes))
    }
    var hasher = SHA256()
    hasher.update(header)
    hasher.update(table.bytes)
    hasher.update(UInt64(offset))
    hasher.update(UInt64(entries.count))
    table.write(UInt64(offset))
    table.write(UInt64(entries.count))
    table.write(hasher.finalize())
    table.write(raw: endMagic)
    return table.bytes
  }

  /// Reads bytes of the pack without comparing them with a hash.
  func read(at offset: Int, count: Int) throws -> [UInt8] {
    try Self.read(handle, at: offset, count: count)
  }

  private static func read(_ handle: any FileHandle, at offset: Int, count: Int) throws -> [UInt8] {
    var failure: (any Error)?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do {
        initialized = try handle.read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
      } catch { failure = error }
    }
    if let failure { throw failure }
    guard bytes.count == count else {
      throw StoreError(
        .corrupt, "the file is cut short: bytes \(offset) to \(offset + count) are not all there",
        at: handle.path, remedy: Remedy.restore)
    }
    return bytes
  }
}
