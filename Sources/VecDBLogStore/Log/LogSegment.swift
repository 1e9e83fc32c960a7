import VecDBBytes
import VecDBFiles

/// One file of the log: a SQLite database with a header row and a row for each frame.
///
/// While it is written it is in WAL mode and locked exclusively, so that SQLite keeps no shared
/// memory. SQLite commits without a sync; that of `walHandle` makes the commit durable, which another
/// thread may do while this one goes on. 16 KiB pages make a commit of one record small, and one of a few
/// megabytes still runs at the speed of a plain append. Once sealed it is an ordinary immutable file
/// without WAL.
final class LogSegment {
  /// Of new segments. They had 64 KiB before, which made every commit write as much.
  static let pageSizeBytes = 16384
  private static let kind = SQLiteFileKind(
    name: "log segment", applicationID: 0x5644_424c,  // "VDBL"
    formatVersion: 1,
    pageSizesBytes: [pageSizeBytes, 65536])

  let path: String
  private(set) var header: SegmentHeader
  /// The last frame's position; the start if there is none.
  private(set) var end: LogPosition
  /// What was appended, roughly the size that the main file has or will have.
  private(set) var contentBytes: Int
  private let wal: SegmentWAL
  /// Size of the WAL up to the last commit.
  var walBytes: Int { wal.committedBytes }
  /// A WAL that was found on opening ends in the middle of a sector where the padding behind its
  /// last commit was torn off: a write there that is torn itself could take the commit with it. So
  /// it is emptied before anything is appended.
  private var mustEmptyWAL = false
  /// Nil until somebody asks.
  private var sums: FrameSums?
  private let fileSystem: any FileSystem
  /// Held until the segment is sealed.
  private var writer: SQLiteConnection?

  /// True once no connection will ever write to the file again.
  var isSealed: Bool { writer == nil && header.isSealed }

  private init(
    path: String, header: SegmentHeader, end: LogPosition, contentBytes: Int,
    pageSizeBytes: Int = LogSegment.pageSizeBytes, walBytes: Int = 0,
    fileSystem: any FileSystem, writer: SQLiteConnection?
  ) {
    self.path = path
    self.header = header
    self.end = end
    self.contentBytes = contentBytes
    if contentBytes == 0 { sums = FrameSums(after: header.start.lsn) }
    self.fileSystem = fileSystem
    self.writer = writer
    wal = SegmentWAL(
      Self.walPath(path), committedBytes: walBytes, pageSizeBytes: pageSizeBytes,
      fileSystem: fileSystem)
    mustEmptyWAL = walBytes > 0
  }

  // MARK: Names

  /// `00000000000000000001.segment`: the first LSN in 20 digits, so that names sort as LSNs do.
  static func name(firstLSN: UInt64) -> String {
    let digits = String(firstLSN)
    return String(repeating: "0", count: 20 - digits.count) + digits + ".segment"
  }

  /// The first LSN that a file name stands for; nil for other files.
  static func firstLSN(ofName name: String) -> UInt64? {
    guard name.hasSuffix(".segment"), let lsn = UInt64(name.dropLast(8)),
      name == Self.name(firstLSN: lsn)
    else { return nil }
    return lsn
  }

  static let unfinishedSuffix = ".new"

  static func walPath(_ path: String) -> String { path + "-wal" }

  // MARK: Creating

  /// Makes the segment that follows `start`, durable under its name on return. It is built under
  /// another name, so that a crash leaves a whole segment or none.
  static func create(
    in directory: String, after start: LogPosition, identity: LogIdentity,
    fileSystem: any FileSystem
  ) throws -> LogSegment {
    let path = directory + "/" + name(firstLSN: start.lsn + 1)
    let unfinished = path + unfinishedSuffix
    let header = SegmentHeader(identity: identity, start: start)
    guard try !fileSystem.exists(path) else {
      throw StoreError(.alreadyExists, "there is a log segment already", at: path)
    }
    func removeUnfinished() throws {
      for suffix in ["", "-journal", "-wal"] { try fileSystem.removeTree(unfinished + suffix) }
    }
    try removeUnfinished()
    try fileSystem.removeTree(walPath(path))  // SQLite would believe a stray one.
    do {
      try build(unfinished, header, fileSystem)
      try fileSystem.open(unfinished, .readWrite).sync()
      try fileSystem.renameExclusively(unfinished, to: path)
    } catch {
      try removeUnfinished()
      throw error
    }
    do {
      try fileSystem.syncDirectory(directory)
      return LogSegment(
        path: path, header: header, end: start, contentBytes: 0, fileSystem: fileSystem,
        writer: try openWriter(path, fileSystem))
    } catch {
      // The one before may be written again only if this one is surely gone.
      do {
        for suffix in ["", "-wal"] { try fileSystem.removeTree(path + suffix) }
        try fileSystem.syncDirectory(directory)
      } catch let second {
        throw StoreError(
          .poisoned, "cannot use a new log segment (\(error)), nor remove it (\(second))",
          at: path, remedy: "Reopen the database.")
      }
      throw error
    }
  }

  private static func build(
    _ path: String, _ header: SegmentHeader, _ fileSystem: any FileSystem
  ) throws {
    let database = try SQLiteConnection(path, .create, vfs: fileSystem.sqliteVFSName)
    defer { database.close() }
    // One sync, by the caller, before the file gets its name.
    try database.execute(
      """
      PRAGMA page_size = \(pageSizeBytes);
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA synchronous = OFF;
      BEGIN;
      \(kind.markingSQL)
      CREATE TABLE header (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL) STRICT;
      CREATE TABLE frames (lsn INTEGER PRIMARY KEY, frame BLOB NOT NULL) STRICT;
      """)
    let insert = try database.prepare("INSERT INTO header (id, bytes) VALUES (1, ?)")
    try insert.bind(1, copying: header.encoded())
    try insert.run()
    try database.execute("COMMIT")
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError(.inputOutput, "SQLite cannot use a write-ahead log here", at: path)
    }
  }

  // MARK: Opening

  /// Looks for damage in the WAL, which SQLite itself would not notice. To be called before `open`.
  static func scanWAL(of path: String, fileSystem: any FileSystem) throws -> WALScanner.Result {
    // SQLite's own VFS assumes powersafe overwrite; a test's may not.
    try WALScanner.scan(
      walPath(path), pageSizesBytes: kind.pageSizesBytes,
      expectedPageSizeBytes: kind.pageSizeBytes(of: path, fileSystem) ?? pageSizeBytes,
      mayRepeatCommitFrames: fileSystem.sqliteVFSName != nil, fileSystem: fileSystem)
  }

  /// Opens a segment whose WAL holds `walBytes` of committed transactions. Checks the header and
  /// the end; `verify` checks the rest.
  static func open(
    _ path: String, walBytes: Int, fileSystem: any FileSystem
  ) throws -> LogSegment {
    // A journal is there if a crash came while sealing left WAL mode: SQLite undoes that.
    let journalBytes = try fileSystem.info(path + "-journal")?.sizeBytes ?? 0
    let isWritable =
      try walBytes > 0 || journalBytes > 0 || kind.checkFileHeader(path, fileSystem)
    let database =
      isWritable ? try openWriter(path, fileSystem) : try openReader(path, fileSystem)
    try kind.check(database)
    let header = try readHeader(database, path)
    guard isWritable || header.isSealed else {
      throw corrupt("the segment has neither a write-ahead log nor a seal", at: path)
    }
    let last = try database.integer("SELECT max(lsn) FROM frames") ?? 0
    let mainBytes = try fileSystem.info(path)?.sizeBytes ?? 0
    let segment = LogSegment(
      path: path, header: header, end: header.start, contentBytes: mainBytes + walBytes,
      pageSizeBytes: Int(try database.integer("PRAGMA page_size") ?? 0), walBytes: walBytes,
      fileSystem: fileSystem, writer: isWritable ? database : nil)
    if last != 0 { segment.end = try segment.frame(UInt64(bitPattern: last)).position }
    try segment.checkEnd()
    return segment
  }

  private static func openWriter(
    _ path: String, _ fileSystem: any FileSystem
  ) throws -> SQLiteConnection {
    let database = try SQLiteConnection(path, .readWrite, vfs: fileSystem.sqliteVFSName)
    // Without spilling, a transaction's pages reach the WAL only at its commit and in ascending
    // order; WALScanner relies on that. A disk that harms what lies beside a torn write wants the
    // padding that SQLite does only where it syncs the commit itself.
    try database.execute(
      """
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA synchronous = \(database.isPowersafe ? "NORMAL" : "FULL");
      PRAGMA cache_size = -4096;
      PRAGMA cache_spill = OFF;
      PRAGMA temp_store = MEMORY;
      PRAGMA mmap_size = 0;
      """)
    return database
  }

  private static func openReader(
    _ path: String, _ fileSystem: any FileSystem
  ) throws -> SQLiteConnection {
    try SQLiteConnection(path, .immutable, vfs: fileSystem.sqliteVFSName)
  }

  private static func readHeader(_ database: SQLiteConnection, _ path: String) throws
    -> SegmentHeader
  {
    let statement = try database.prepare("SELECT bytes FROM header WHERE id = 1")
    guard try statement.step() else { throw corrupt("the segment's header is missing", at: path) }
    return try SegmentHeader(decoding: statement.blob(0), at: path)
  }

  private func checkEnd() throws {
    guard end.lsn >= header.covered.lsn, !header.isSealed || end.lsn == header.covered.lsn,
      try position(at: header.covered.lsn) == header.covered
    else {
      throw corrupt("the segment ends at \(end) but must reach \(header.covered)", at: path)
    }
  }

  // MARK: Writing

  /// Adds frames in one transaction, which the sync of `walHandle` makes durable; nothing else may
  /// be written before. `.diskFull` leaves the segment as it was and usable; after any other error the
  /// outcome is unknown.
  func append(_ frames: [LogFrame]) throws {
    try commit { database in
      let insert = try database.cached("INSERT INTO frames (lsn, frame) VALUES (?, ?)")
      for frame in frames {
        try frame.encoded().withUnsafeBytes { bytes in
          try insert.bind(1, Int64(bitPattern: frame.lsn))
          try insert.bind(2, borrowing: bytes)
          try insert.run()
        }
      }
    }
    contentBytes += frames.reduce(0) { $0 + LogFrame.overheadBytes + $1.payload.count }
    for frame in frames { sums?.append(LogFrame.overheadBytes + frame.payload.count) }
    if let last = frames.last { end = last.position }
  }

  /// What makes the last commit durable, on any thread.
  func walHandle() throws -> any FileHandle { try wal.handle() }

  /// Moves the WAL into the main file and empties it.
  func checkpoint() throws {
    if header.covered != end {
      var covering = header
      covering.covered = end
      try writeHeader(covering)
    }
    try emptyWAL()
  }

  /// Makes the segment immutable and lets go of its connection. It may be called again after a
  /// failure or a crash at any point.
  func seal() throws {
    guard let writer else { return }
    if !header.isSealed {
      var sealed = header
      sealed.covered = end
      sealed.isSealed = true
      try writeHeader(sealed)
    }
    try emptyWAL()
    guard try writer.text("PRAGMA journal_mode = DELETE") == "delete" else {
      throw StoreError(.inputOutput, "SQLite cannot leave WAL mode", at: path)
    }
    close()
    try fileSystem.syncDirectory(directoryName(path))
  }

  /// Gives a segment without frames another history of epochs. Durable on return.
  func replaceIdentity(_ identity: LogIdentity) throws {
    var new = header
    new.identity = identity
    try writeHeader(new)
  }

  /// Lets go of the file without any write.
  func close() {
    wal.close()
    writer?.close()
    writer = nil
  }

  private func writeHeader(_ new: SegmentHeader) throws {
    try write { database in
      let update = try database.cached("UPDATE header SET bytes = ? WHERE id = 1")
      try update.bind(1, copying: new.encoded())
      try update.run()
    }
    header = new
  }

  private func emptyWAL() throws {
    guard let writer else { return }
    guard try writer.checkpointAndTruncate() else {
      throw StoreError(.locked, "another connection reads the log segment", at: path)
    }
    wal.noteEmptied()
    mustEmptyWAL = false
  }

  /// Writes one transaction, durable on return.
  private func write(_ body: (SQLiteConnection) throws -> Void) throws {
    try commit(body)
    try wal.handle().sync()
  }

  private func commit(_ body: (SQLiteConnection) throws -> Void) throws {
    guard let writer else { throw StoreError(.invalidArgument, "the segment is sealed", at: path) }
    if mustEmptyWAL { try emptyWAL() }
    do {
      if walBytes == 0 { try prime(writer) }
      try wal.makeRoom()
      try writer.transaction { try body(writer) }
    } catch let error as StoreError where error.kind == .diskFull {
      try wal.cut()
      throw error
    }
    wal.note(frameCount: writer.walFrameCount)
  }

  /// Begins an empty WAL with a transaction of one page that changes nothing. The WAL's header lies in
  /// one sector with the first frame: on a disk that may destroy what lies beside a torn write, both
  /// are gone if the power fails in the first transaction, and then nobody can tell what that was. So
  /// it is one in which nothing is lost (`WALScanner` relies on it).
  private func prime(_ writer: SQLiteConnection) throws {
    try writer.execute("PRAGMA user_version = \(Self.kind.formatVersion)")
    wal.note(frameCount: writer.walFrameCount)
    try wal.handle().sync()
  }

  // MARK: Reading

  /// Frames after `lsn` and up to `last`, CRC-checked: as many as fit into `bytesMaximum`, but at
  /// least one if there is one.
  func frames(after lsn: UInt64, through last: UInt64, bytesMaximum: Int) throws -> [LogFrame] {
    try rows(after: lsn, through: last, bytesMaximum: bytesMaximum).map {
      try $0.withUnsafeBytes { try LogFrame(decoding: $0, at: path) }
    }
  }

  /// As `frames`, encoded and not checked.
  func rows(after lsn: UInt64, through last: UInt64, bytesMaximum: Int) throws -> [[UInt8]] {
    let database = try writer ?? Self.openReader(path, fileSystem)
    let select = try database.cached(
      "SELECT frame FROM frames WHERE lsn > ? AND lsn <= ? ORDER BY lsn")
    defer { withExtendedLifetime(database) { select.reset() } }
    try select.bind(1, Int64(bitPattern: lsn))
    try select.bind(2, Int64(bitPattern: last))
    var rows: [[UInt8]] = []
    var bytes = 0
    while bytes < bytesMaximum, try select.step() {
      rows.append(Array(select.blob(0)))
      bytes += select.blob(0).count
    }
    return rows
  }

  /// The bytes of the frames after `lsn`. Cost: the first time, the lengths of all frames are read.
  func frameBytes(after lsn: UInt64) throws -> Int {
    try measuredSums().bytes(after: lsn) { after, through in
      let database = try writer ?? Self.openReader(path, fileSystem)
      let sum = try database.cached(
        "SELECT total(length(frame)) FROM frames WHERE lsn > ? AND lsn <= ?")
      defer { withExtendedLifetime(database) { sum.reset() } }
      try sum.bind(1, Int64(bitPattern: after))
      try sum.bind(2, Int64(bitPattern: through))
      return try sum.step() ? Int(sum.int64(0)) : 0
    }
  }

  private func measuredSums() throws -> FrameSums {
    if let sums { return sums }
    let database = try writer ?? Self.openReader(path, fileSystem)
    let lengths = try database.cached("SELECT length(frame) FROM frames ORDER BY lsn")
    defer { withExtendedLifetime(database) { lengths.reset() } }
    var measured = FrameSums(after: header.start.lsn)
    while try lengths.step() { measured.append(Int(lengths.int64(0))) }
    sums = measured
    return measured
  }

  func position(at lsn: UInt64) throws -> LogPosition {
    lsn == header.start.lsn ? header.start : try frame(lsn).position
  }

  private func frame(_ lsn: UInt64) throws -> LogFrame {
    guard lsn > 0, let frame = try frames(after: lsn - 1, through: lsn, bytesMaximum: 1).first,
      frame.lsn == lsn
    else { throw corrupt("LSN \(lsn) is missing", at: path) }
    return frame
  }

  /// Reads everything: header, CRCs, chain, epochs and end.
  func verify() throws {
    if let writer { header = try Self.readHeader(writer, path) }
    try checkEnd()
    var position = header.start
    while position.lsn < end.lsn {
      let frames = try frames(after: position.lsn, through: end.lsn, bytesMaximum: 4 << 20)
      guard !frames.isEmpty else { throw corrupt("LSN \(position.lsn + 1) is missing", at: path) }
      for frame in frames {
        try frame.checkFollows(position, at: path)
        guard frame.epochCounter == header.identity.epochCounter(at: frame.lsn) else {
          throw corrupt("LSN \(frame.lsn) is of epoch \(frame.epochCounter)", at: path)
        }
        position = frame.position
      }
    }
    guard position == end else { throw corrupt("the segment's end does not match", at: path) }
  }

  var sizeBytes: Int {
    get throws {
      try (fileSystem.info(path)?.sizeBytes ?? 0)
        + (fileSystem.info(Self.walPath(path))?.sizeBytes ?? 0)
    }
  }
}
