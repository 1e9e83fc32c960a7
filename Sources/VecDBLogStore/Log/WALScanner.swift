import VecDBFiles

/// Reads the raw `-wal` of a segment before SQLite does, and tells a torn tail from damage.
///
/// SQLite's recovery stops at the first frame whose checksum does not fit and drops the rest
/// without a word. After a power failure that is right: what follows is the last transaction,
/// which was never synced. After bit rot it silently drops commits that were acknowledged. The two
/// differ in what follows the bad frame, because a transaction is begun only after the sync of the
/// one before has returned:
///
/// **If a frame of a later transaction than the bad frame's is there, the bad frame was once
/// durable, and so is damaged.**
///
/// What proves "later": our writer never spills its cache, so within one transaction SQLite writes
/// pages in ascending order and each once, and flags the last frame as its commit. A frame that
/// follows a commit, or whose page number is not above its predecessor's, begins a transaction.
/// (One exception: on a VFS without powersafe overwrite SQLite repeats the commit frame to fill a
/// sector.) Frames behind the bad one can be checked since each checksum goes on from the one
/// stored in the frame before.
///
/// Damage to the last transaction alone cannot be told from a torn tail here; that is what
/// `WriteAheadLog.open(expectedAtLeast:)` is for.
///
/// The layout and the checksum are those of "The Write-Ahead Log" in SQLite's file format document.
struct WALScanner {
  struct Result: Equatable {
    /// Up to the end of the last committed transaction; 0 if there is none. Bytes behind it are an
    /// unfinished transaction.
    var committedBytes = 0
    /// Frames in the committed part.
    var committedFrames = 0
  }

  static let headerBytes = 32
  static let frameHeaderBytes = 24
  /// Disks write at least this much in one piece.
  private static let sectorBytes = 512

  private let path: String
  private let pageSizeBytes: Int
  private let mayRepeatCommitFrames: Bool
  private let file: any FileHandle
  private let frameCount: Int
  private let header: WALHeader
  private var bytes: [UInt8]

  private var frameBytes: Int { Self.frameHeaderBytes + pageSizeBytes }

  /// Throws `.corrupt` if the WAL at `path` is damaged. Its header says how large its pages are;
  /// where that cannot be read, they count as the main file's. Cost: one pass over the file.
  static func scan(
    _ path: String, pageSizesBytes: [Int], expectedPageSizeBytes: Int,
    mayRepeatCommitFrames: Bool, fileSystem: any FileSystem
  ) throws -> Result {
    guard let info = try fileSystem.info(path), info.sizeBytes > headerBytes else {
      return Result()  // Without a frame there is nothing to lose.
    }
    let file = try fileSystem.open(path, .read)
    var bytes = [UInt8](repeating: 0, count: headerBytes)
    _ = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    guard let header = WALHeader(bytes, pageSizesBytes: pageSizesBytes) else {
      let frameBytes = frameHeaderBytes + expectedPageSizeBytes
      // SQLite syncs the header before it writes the first frame, and only the first frame shares a
      // sector with it. That one frame is the whole first transaction, in which nothing is lost:
      // see `LogSegment.prime`. With more behind it the header cannot be torn.
      guard
        try info.sizeBytes < headerBytes + 2 * frameBytes
          || isZero(file, from: headerBytes, to: info.sizeBytes)
      else { throw corrupt("the header of the write-ahead log is damaged", at: path) }
      return Result()
    }
    let frameBytes = frameHeaderBytes + header.pageSizeBytes
    var scanner = WALScanner(
      path: path, pageSizeBytes: header.pageSizeBytes, mayRepeatCommitFrames: mayRepeatCommitFrames,
      file: file, frameCount: (info.sizeBytes - headerBytes) / frameBytes, header: header,
      bytes: [UInt8](repeating: 0, count: frameBytes))
    return try scanner.scan()
  }

  private static func isZero(_ file: any FileHandle, from start: Int, to end: Int) throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    for offset in stride(from: start, to: end, by: bytes.count) {
      let count = try bytes.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
      if bytes[..<count].contains(where: { $0 != 0 }) { return false }
    }
    return true
  }

  private mutating func scan() throws -> Result {
    var result = Result()
    var seed = header.checksum
    var mayBeRepetition = false
    for index in 0..<frameCount {
      let frame = try read(index, seed: seed)
      guard frame.isIntact else {
        if try isFollowedByLaterTransaction(index, seed: seed, mayBeRepetition: mayBeRepetition) {
          throw corrupt(
            "frame \(index + 1) of the write-ahead log, at byte \(offset(index)), is damaged: "
              + "committed transactions follow it", at: path)
        }
        return result
      }
      seed = frame.storedChecksum
      mayBeRepetition = mayRepeatCommitFrames && frame.isCommit
      if frame.isCommit {
        result.committedFrames = index + 1
        result.committedBytes = offset(index + 1)
      }
    }
    return result
  }

  /// Whether anything behind a bad frame proves that it was durable. `seed` is the checksum before
  /// it. A commit's repetition is durable only with the next commit, so that one transaction behind
  /// it proves nothing.
  private mutating func isFollowedByLaterTransaction(
    _ badFrame: Int, seed: WALChecksum, mayBeRepetition: Bool
  ) throws -> Bool {
    var previous = try read(badFrame, seed: seed)
    // If only its salts are damaged, the rest of the header is as good as the checksum.
    var isPreviousTrusted = previous.isLinked
    for index in badFrame + 1..<max(frameCount, badFrame + 1) {
      var frame = try read(index, seed: previous.storedChecksum)
      if !frame.isLinked, index == badFrame + 1 {
        // If only its stored checksum is damaged, the next frame goes on from the computed one.
        let continued = try read(index, seed: previous.computedChecksum)
        if continued.isIntact {
          frame = continued
          isPreviousTrusted = true
        }
      } else if frame.isIntact, previous.hasOurSalts, !straddlesSectors(index - 1) {
        // The frame before has the right salts and checksum in its header, which lies in one
        // sector: the whole header is what SQLite wrote, even if the page behind it is not.
        isPreviousTrusted = true
      }
      let isUnproven = mayBeRepetition && index == badFrame + 1
      if frame.isIntact, isPreviousTrusted, !isUnproven, begins(frame, after: previous) {
        return true
      }
      previous = frame
      isPreviousTrusted = frame.isIntact
    }
    return false
  }

  /// Whether `frame` belongs to a later transaction than the adjacent frame before it.
  private func begins(_ frame: WALFrame, after previous: WALFrame) -> Bool {
    if mayRepeatCommitFrames, previous.isCommit, frame.page == previous.page,
      frame.pagesAfterCommit == previous.pagesAfterCommit
    {
      // Perhaps the repetition of a commit frame. Unless both pages are readable and differ.
      return previous.isIntact && frame.pageChecksum != previous.pageChecksum
    }
    return previous.isCommit || frame.page <= previous.page
  }

  private func offset(_ index: Int) -> Int { Self.headerBytes + index * frameBytes }

  private func straddlesSectors(_ index: Int) -> Bool {
    offset(index) % Self.sectorBytes + Self.frameHeaderBytes > Self.sectorBytes
  }

  private mutating func read(_ index: Int, seed: WALChecksum) throws -> WALFrame {
    let offset = offset(index)
    let count = try bytes.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    guard count == frameBytes else {
      throw StoreError(.inputOutput, "the file became shorter while it was read", at: path)
    }
    return bytes.withUnsafeBytes { WALFrame($0, header: header, seed: seed) }
  }
}

/// SQLite's WAL checksum: two sums over pairs of 32-bit words.
struct WALChecksum: Equatable {
  var first: UInt32 = 0
  var second: UInt32 = 0

  func continued(_ bytes: UnsafeRawBufferPointer, isBigEndian: Bool) -> WALChecksum {
    var (first, second) = (first, second)
    var offset = 0
    while offset < bytes.count {
      let one = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      let two = bytes.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt32.self)
      first = first &+ second &+ (isBigEndian ? UInt32(bigEndian: one) : UInt32(littleEndian: one))
      second = second &+ first &+ (isBigEndian ? UInt32(bigEndian: two) : UInt32(littleEndian: two))
      offset &+= 8
    }
    return WALChecksum(first: first, second: second)
  }
}

/// The first 32 bytes of a WAL.
private struct WALHeader {
  private static let magic: UInt32 = 0x377f_0682  // The lowest bit is set for big-endian sums.
  private static let version: UInt32 = 3_007_000

  let isBigEndian: Bool
  let pageSizeBytes: Int
  let salts: (UInt32, UInt32)
  let checksum: WALChecksum

  init?(_ bytes: [UInt8], pageSizesBytes: [Int]) {
    let (words, computed) = bytes.withUnsafeBytes { raw in
      let words = (0..<8).map {
        UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
      }
      let summed = UnsafeRawBufferPointer(rebasing: raw[..<24])
      return (words, WALChecksum().continued(summed, isBigEndian: words[0] & 1 == 1))
    }
    isBigEndian = words[0] & 1 == 1
    pageSizeBytes = Int(words[2])
    salts = (words[4], words[5])
    checksum = WALChecksum(first: words[6], second: words[7])
    guard words[0] | 1 == Self.magic | 1, words[1] == Self.version,
      pageSizesBytes.contains(pageSizeBytes), checksum == computed
    else { return nil }
  }
}

/// What the scanner needs to know of a frame.
private struct WALFrame {
  let page: UInt32
  /// The database's size in pages if this is a commit, else 0.
  let pagesAfterCommit: UInt32
  let hasOurSalts: Bool
  let storedChecksum: WALChecksum
  let computedChecksum: WALChecksum
  /// Of the page alone, to compare pages with each other.
  let pageChecksum: WALChecksum

  var isCommit: Bool { pagesAfterCommit != 0 }
  /// The frame's checksum goes on from the seed.
  var isLinked: Bool { storedChecksum == computedChecksum }
  var isIntact: Bool { isLinked && hasOurSalts && page != 0 }

  init(_ bytes: UnsafeRawBufferPointer, header: WALHeader, seed: WALChecksum) {
    func word(_ index: Int) -> UInt32 {
      UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
    }
    let pageBytes = UnsafeRawBufferPointer(rebasing: bytes[WALScanner.frameHeaderBytes...])
    page = word(0)
    pagesAfterCommit = word(1)
    hasOurSalts = (word(2), word(3)) == header.salts
    storedChecksum = WALChecksum(first: word(4), second: word(5))
    let summedHeader = UnsafeRawBufferPointer(rebasing: bytes[..<8])
    computedChecksum =
      seed.continued(summedHeader, isBigEndian: header.isBigEndian)
      .continued(pageBytes, isBigEndian: header.isBigEndian)
    pageChecksum = WALChecksum().continued(pageBytes, isBigEndian: header.isBigEndian)
  }
}
