import VecDBBlockStore
import VecDBFiles
import VecDBLogStore

/// A piece of archived log, read back and proven: every CRC, the chain, and that it is complete.
struct ArchivedLog {
  var start: LogPosition
  var frames: [LogFrame]
  /// The epochs that had led to this log when it was archived.
  var identity: LogIdentity

  /// - Throws: `.corrupt` naming the piece; `.notFound`.
  init(_ piece: LogPiece, in repository: any Repository) throws {
    let place = Self.place(piece, repository)
    var reader = LogFrameStreamReader(place: place)
    reader.feed(try repository.getLog(piece))
    var frames: [LogFrame] = []
    while let frame = try reader.next() { frames.append(frame) }
    if reader.isComplete { try reader.expectComplete() }
    guard reader.isComplete, let start = reader.start, let identity = reader.identity,
      let last = frames.last, start.lsn + 1 == piece.firstLSN, last.lsn == piece.lastLSN
    else {
      throw VecDBError(
        .corrupt, "the piece of log is cut short or does not hold what its name says", at: place,
        remedy: "Restore to a point before LSN \(piece.firstLSN), or from another repository.")
    }
    self.start = start
    self.frames = frames
    self.identity = identity
  }

  /// As `init`; where the piece was made part of a larger one meanwhile, reads that.
  static func read(_ piece: LogPiece, in repository: any Repository) throws -> ArchivedLog {
    do { return try ArchivedLog(piece, in: repository) } catch let error as StoreError
      where error.kind == .notFound
    {
      let whole = try repository.logPieces().first {
        $0.epochCounter == piece.epochCounter && $0.firstLSN <= piece.firstLSN
          && $0.lastLSN >= piece.lastLSN
      }
      guard let whole else { throw error }
      return try ArchivedLog(whole, in: repository)
    }
  }

  static func place(_ piece: LogPiece, _ repository: any Repository) -> String {
    "\(repository.location), log \(piece.firstLSN)-\(piece.lastLSN)"
  }
}
