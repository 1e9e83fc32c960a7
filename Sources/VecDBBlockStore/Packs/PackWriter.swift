import VecDBBytes
import VecDBFiles

/// Writes one pack under a temporary name and publishes it whole. Used by one thread at a time.
final class PackWriter {
  private let fileSystem: any FileSystem
  private let path: String
  private let temporaryPath: String
  private let number: UInt64
  private let handle: any FileHandle
  private let header: [UInt8]
  private var end = packPageSizeBytes
  /// The file is sent on its way to the disk in steps, so that the final sync is short.
  private var syncStarted = 0
  private static let syncStepBytes = 8 << 20
  private(set) var entries: [PackFile.Entry] = []

  init(directory: String, number: UInt64, lsn: UInt64, fileSystem: any FileSystem) throws {
    self.fileSystem = fileSystem
    self.number = number
    path = directory + "/" + PackFile.fileName(number)
    temporaryPath = path + ".tmp"
    header = PackFile.header(number: number, lsn: lsn)
    handle = try fileSystem.open(temporaryPath, .createOrTruncate)
    do { try header.withUnsafeBytes { try handle.write($0, at: 0) } } catch {
      removeTemporary()
      throw error
    }
  }

  /// Appends a block; the caller has computed its hash. Returns where it will be.
  func append(_ bytes: UnsafeRawBufferPointer, hash: Digest) throws -> BlockLocation {
    let offset = end
    try handle.write(bytes, at: offset)
    let written = offset + bytes.count
    end = pageAligned(written)
    if end > written {
      // Explicit zeros: a hole would read the same, but space for it could run out later.
      let zeros = [UInt8](repeating: 0, count: end - written)
      try zeros.withUnsafeBytes { try handle.write($0, at: written) }
    }
    if end >= syncStarted + Self.syncStepBytes {
      handle.startSync()
      syncStarted = end
    }
    entries.append(
      PackFile.Entry(hash: hash, offsetBytes: offset, lengthBytes: bytes.count))
    return BlockLocation(packNumber: number, offsetBytes: offset, lengthBytes: bytes.count)
  }

  /// Makes the pack durable under its name, and reads its table back.
  func finish() throws -> PackFile {
    let trailer = PackFile.trailer(header: header, entries: entries, at: end)
    try trailer.withUnsafeBytes { try handle.write($0, at: end) }
    try handle.sync()
    try fileSystem.renameExclusively(temporaryPath, to: path)
    try fileSystem.syncDirectory(directoryName(path))
    return try PackFile(opening: path, number: number, fileSystem: fileSystem)
  }

  /// Reads a block that has been appended but not published.
  func read(_ location: BlockLocation) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: location.lengthBytes)
    let count = try bytes.withUnsafeMutableBytes {
      try handle.read(at: location.offsetBytes, into: $0)
    }
    guard count == bytes.count else {
      throw StoreError(.inputOutput, "a block just written cannot be read", at: temporaryPath)
    }
    return bytes
  }

  /// Removes what was written. What cannot be removed now goes when the store is next opened, so
  /// errors are of no interest here.
  func removeTemporary() { try? fileSystem.remove(temporaryPath) }

  /// Likewise: no manifest names it.
  func removePublished() { try? fileSystem.remove(path) }
}
