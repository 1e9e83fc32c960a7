import VecDBFiles

/// The `-wal` of the segment that is being written, beside SQLite, which appends to it: how far its
/// commits reach, the space ahead of them, and the sync that makes them durable.
///
/// A write beyond a file's end makes its sync wait for the file system's journal too, which takes
/// as long as the sync itself. So small commits find zeros that were written ahead of them, a mebibyte
/// at a time. SQLite reads up to the first frame that does not fit, and `WALScanner` knows zeros.
final class SegmentWAL {
  /// Written ahead at a time.
  private static let aheadBytes = 1 << 20
  /// Larger commits would have to write the zeros, too, for little.
  private static let smallCommitBytes = 128 << 10

  let path: String
  private let fileSystem: any FileSystem
  private let frameBytes: Int
  /// Up to the end of the last commit; what follows are zeros.
  private(set) var committedBytes: Int
  private var writtenBytes: Int
  private var lastCommitBytes = 0
  private var file: (any FileHandle)?

  init(_ path: String, committedBytes: Int, pageSizeBytes: Int, fileSystem: any FileSystem) {
    self.path = path
    self.fileSystem = fileSystem
    self.committedBytes = committedBytes
    writtenBytes = committedBytes
    frameBytes = WALScanner.frameHeaderBytes + pageSizeBytes
  }

  /// To be called before a commit. A full disk is the commit's matter.
  func makeRoom() throws {
    guard (1...Self.smallCommitBytes).contains(lastCommitBytes), committedBytes > 0,
      writtenBytes < committedBytes + 2 * lastCommitBytes
    else { return }
    let start = max(committedBytes, writtenBytes)
    let zeros = [UInt8](repeating: 0, count: Self.aheadBytes)
    do {
      try zeros.withUnsafeBytes { try handle().write($0, at: start) }
      writtenBytes = start + Self.aheadBytes
    } catch let error as StoreError where error.kind == .diskFull {
      try cut()
    }
  }

  /// To be called after a commit, with the frames that the WAL has now.
  func note(frameCount: Int) {
    let end = WALScanner.headerBytes + frameCount * frameBytes
    lastCommitBytes = end - committedBytes
    committedBytes = end
    writtenBytes = max(writtenBytes, end)
  }

  /// To be called when SQLite has emptied the file.
  func noteEmptied() { (committedBytes, writtenBytes) = (0, 0) }

  /// For the sync, which may run on another thread. It stays valid as long as SQLite keeps the file.
  func handle() throws -> any FileHandle {
    if let file { return file }
    let opened = try fileSystem.open(path, .readWrite)
    file = opened
    return opened
  }

  /// Removes what lies behind the last commit, durably. Frames of a failed commit may lie there:
  /// were they left, those of two failures could later look like transactions that followed damage.
  func cut() throws {
    try Self.cut(path, to: committedBytes, fileSystem)
    writtenBytes = committedBytes
  }

  /// As `cut`, of any WAL. SQLite never looks at those bytes.
  static func cut(_ path: String, to sizeBytes: Int, _ fileSystem: any FileSystem) throws {
    guard let info = try fileSystem.info(path), info.sizeBytes > sizeBytes else { return }
    let file = try fileSystem.open(path, .readWrite)
    try file.truncate(to: sizeBytes)
    try file.sync()
  }

  /// Lets go of the file.
  func close() { file = nil }
}
