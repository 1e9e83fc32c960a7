import BlockStore
import LogStore

/// A piece of archived log, read back and proven: every CRC, the chain, and that it is complete.
struct ArchivedLog {
  var start: LogPosition
  var frames: [LogFrame]

  /// - Throws: `.corrupt` naming the piece; `.notFound`.
  init(_ piece: LogPiece, in repository: any Repository) throws {
    let place = Self.place(piece, repository)
    var reader = LogFrameStreamReader(place: place)
    reader.feed(try repository.getLog(piece))
    var frames: [LogFrame] = []
    while let frame = try reader.next() { frames.append(frame) }
    if reader.isComplete { try reader.expectComplete() }
    guard reader.isComplete, let start = reader.start, let last = frames.last,
      start.lsn + 1 == piece.firstLSN, last.lsn == piece.lastLSN
    else {
      throw VecDBError(
        .corrupt, "the piece of log is cut short or does not hold what its name says", at: place,
        remedy: "Restore to a point before LSN \(piece.firstLSN), or from another repository.")
    }
    self.start = start
    self.frames = frames
  }

  static func place(_ piece: LogPiece, _ repository: any Repository) -> String {
    "\(repository.location), log \(piece.firstLSN)-\(piece.lastLSN)"
  }
}
