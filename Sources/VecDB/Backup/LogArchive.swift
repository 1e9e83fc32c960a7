import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBLogStore
import VecDBThreads

/// Publishes the log of a database to a repository, in pieces of one epoch each.
struct LogArchive: Sendable {
  /// A piece is published when its frames have this many bytes.
  static let pieceBytes = 8 << 20

  let log: WriteAheadLog
  let repository: any Repository
  /// Which folder of the repository holds what.
  let path: ArchivePath
  /// Whether this is done by threads that yield the processor to everything else.
  var isLowPriority = false

  struct Published: Sendable, Equatable {
    var frames = 0
    var bytes = 0
    var pieces: [LogPiece] = []
  }

  /// Publishes what follows the archived end, as far as it is still in the log. A gap is left where
  /// log was trimmed unarchived; `backups` shows it. `advance` gets the bytes of each frame, and
  /// what it throws ends the work.
  func publish(
    through last: UInt64, advance: (Int) throws -> Void = { _ in }
  ) throws -> Published {
    let first = max(path.archivedEnd(try repository.logPieces()) + 1, log.firstLSN)
    guard first <= last else { return Published() }
    return try publish(first...last, advance: advance)
  }

  /// Publishes a range of the log, cut at the ends of epochs and folders. A piece is written while the next one
  /// is read and encoded; one begins only when the one before is durable, so that a crash leaves no
  /// gap.
  func publish(
    _ range: ClosedRange<UInt64>, advance: (Int) throws -> Void = { _ in }
  ) throws -> Published {
    var published = Published()
    var piece: LogFrameStream.Piece?
    var start = try log.position(at: range.lowerBound - 1)
    var writing: LowPriorityThread.Job<Published>?
    // Nobody writes any more when this ends, however it does.
    defer { writing?.wait() }
    func putBeside() throws {
      guard let full = piece else { return }
      piece = nil
      start = full.end
      let name = LogPiece(
        epochCounter: path.folder(of: full.firstLSN), firstLSN: full.firstLSN, lastLSN: full.end.lsn
      )
      if let done = try writing?.value() { published.add(done) }
      writing = nil
      writing = try LowPriorityThread.Job(yields: isLowPriority) { [repository] in
        let encoded = full.encoded()
        try repository.putLog(name, encoded)
        return Published(
          frames: Int(name.lastLSN - name.firstLSN + 1), bytes: encoded.count, pieces: [name])
      }
    }
    try log.readEncoded(
      after: range.lowerBound - 1, through: range.upperBound, yields: isLowPriority
    ) { frame in
      if let begun = piece,
        begun.epochCounter != frame.epochCounter
          || path.folder(of: begun.firstLSN) != path.folder(of: frame.position.lsn)
      {
        try putBeside()
      }
      if piece == nil {
        piece = LogFrameStream.Piece(
          identity: log.identity, start: start, epochCounter: frame.epochCounter)
      }
      piece?.append(frame)
      try advance(frame.bytes.count - LogFrame.overheadBytes)
      if let begun = piece, begun.sizeBytes >= Self.pieceBytes { try putBeside() }
    }
    try putBeside()
    if let done = try writing?.value() { published.add(done) }
    writing = nil
    return published
  }

  // MARK: Repair and consolidation

  /// Sends again what the repository should have of the log from `first` on and has damaged or not
  /// at all, as far as it is still in the log.
  func repair(
    from first: UInt64, through last: UInt64, check: () throws -> Void
  ) throws -> Published {
    var result = Published()
    var covered = max(first, log.firstLSN)
    guard covered <= last else { return result }
    for piece in try repository.logPieces()
    where piece.lastLSN >= covered && piece.firstLSN <= last && path.owns(piece) {
      try check()
      if piece.firstLSN > covered {
        result.add(try publish(covered...piece.firstLSN - 1))
      }
      do { _ = try ArchivedLog(piece, in: repository) } catch let error as VecDBError
        where error.code == .corrupt
      {
        try replace(piece, &result)
      } catch let error as StoreError where error.kind == .corrupt || error.kind == .unknownVersion
      {
        try replace(piece, &result)
      }
      covered = max(covered, piece.lastLSN + 1)
    }
    if covered <= last { result.add(try publish(covered...last)) }
    return result
  }

  /// Sends again what has gone from the repository, also before its oldest restore point, as far as it
  /// is still in the log.
  func publish(
    missing: Publications, through last: UInt64, check: () throws -> Void
  ) throws -> Published {
    var result = Published()
    for (counter, folder) in missing.folders.sorted(by: { $0.key < $1.key }) {
      guard let extent = path.extent(of: counter) else { continue }
      for range in folder.log.ranges {
        try check()
        let first = max(range.lowerBound, extent.after + 1, log.firstLSN)
        let end = min(range.upperBound - 1, extent.through, last)
        if first <= end { result.add(try publish(first...end)) }
      }
    }
    return result
  }

  /// Writes a damaged piece anew if all of it is still in the log of that epoch.
  private func replace(_ piece: LogPiece, _ result: inout Published) throws {
    guard piece.firstLSN >= log.firstLSN, piece.lastLSN <= log.end.lsn else { return }
    var own = LogFrameStream.Piece(
      identity: log.identity, start: try log.position(at: piece.firstLSN - 1),
      epochCounter: piece.epochCounter)
    try log.readEncoded(after: piece.firstLSN - 1, through: piece.lastLSN) { own.append($0) }
    guard own.end.lsn == piece.lastLSN else { return }
    let bytes = own.encoded()
    try repository.replaceLog(piece, bytes)
    result.frames += Int(piece.lastLSN - piece.firstLSN + 1)
    result.bytes += bytes.count
    result.pieces.append(piece)
  }

  /// Makes one piece out of many small ones that follow each other, and then takes these away. The
  /// frames come from the log, or from the pieces where it was trimmed. Broken off in between it
  /// leaves log that is there twice, which does no harm.
  ///
  /// - Returns: What was published for it.
  func consolidate(_ pieces: [LogPiece]) throws -> [LogPiece] {
    guard pieces.count > 1, let first = pieces.first, let last = pieces.last,
      pieces.allSatisfy({ $0.epochCounter == first.epochCounter })
    else { return [] }
    let published =
      first.firstLSN >= log.firstLSN
      ? try publish(first.firstLSN...last.lastLSN).pieces : try join(pieces)
    // What is there now may be cut differently: only what another piece covers goes.
    let all = try repository.logPieces()
    for piece in pieces {
      let isCovered = all.contains {
        $0 != piece && $0.epochCounter == piece.epochCounter && $0.firstLSN <= piece.firstLSN
          && $0.lastLSN >= piece.lastLSN
      }
      guard isCovered else { continue }
      do { try repository.deleteLog(piece) } catch let error as StoreError
        where error.kind == .notFound
      {
        continue
      }
    }
    return published
  }

  /// Publishes the frames of pieces again, in larger ones. One that cannot be read is left out.
  private func join(_ pieces: [LogPiece]) throws -> [LogPiece] {
    var published: [LogPiece] = []
    var joined: LogFrameStream.Piece?
    func put(_ folder: UInt64) throws {
      guard let full = joined else { return }
      joined = nil
      let name = LogPiece(epochCounter: folder, firstLSN: full.firstLSN, lastLSN: full.end.lsn)
      guard !pieces.contains(name) else { return }
      try repository.putLog(name, full.encoded())
      published.append(name)
    }
    for piece in pieces {
      guard let archived = try readable(piece) else {
        try put(piece.epochCounter)
        continue
      }
      let place = ArchivedLog.place(piece, repository)
      var position = archived.start
      if joined?.end != position { try put(piece.epochCounter) }
      for frame in archived.frames {
        if joined?.epochCounter != frame.epochCounter { try put(piece.epochCounter) }
        if joined == nil {
          joined = LogFrameStream.Piece(
            identity: archived.identity, start: position, epochCounter: frame.epochCounter)
        }
        joined?.append(try EncodedLogFrame(frame.encoded(), at: place))
        position = frame.position
        if let begun = joined, begun.sizeBytes >= Self.pieceBytes { try put(piece.epochCounter) }
      }
    }
    if let last = pieces.last { try put(last.epochCounter) }
    return published
  }

  /// Nil if the piece is damaged or gone.
  private func readable(_ piece: LogPiece) throws -> ArchivedLog? {
    do { return try ArchivedLog(piece, in: repository) } catch let error as VecDBError
      where error.code == .corrupt
    {
      return nil
    } catch let error as StoreError
      where [.corrupt, .unknownVersion, .notFound].contains(error.kind)
    {
      return nil
    }
  }
}

extension LogArchive.Published {
  mutating func add(_ other: Self) {
    frames += other.frames
    bytes += other.bytes
    pieces += other.pieces
  }
}
