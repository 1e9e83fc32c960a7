import VecDBBytes
import VecDBFiles

extension WriteAheadLog {
  /// Calls `body` with each frame after `lsn`, up to `last` or the end, in order; checks CRC and
  /// chain on the way. Throws `.notFound` if frames after `lsn` are trimmed away. Appends wait while
  /// a chunk is read, and no longer; memory: one chunk. With `yields` the calling thread is one of low
  /// priority, for which they must not wait: chunks are read by another one.
  package func read(
    after lsn: UInt64, through last: UInt64? = nil, chunkBytes: Int = WriteAheadLog.chunkBytes,
    yields: Bool = false, _ body: (LogFrame) throws -> Void
  ) throws {
    try readEncoded(after: lsn, through: last, chunkBytes: chunkBytes, yields: yields) { frame in
      try body(frame.decoded)
    }
  }

  /// As `read`, for those that pass frames on as they are.
  package func readEncoded(
    after lsn: UInt64, through last: UInt64? = nil, chunkBytes: Int = WriteAheadLog.chunkBytes,
    yields: Bool = false, _ body: (EncodedLogFrame) throws -> Void
  ) throws {
    var position = try position(at: lsn)
    let end = end.lsn
    let last = min(last ?? end, end)
    while position.lsn < last {
      let (rows, path) = try chunk(
        after: position.lsn, through: last, bytesMaximum: chunkBytes, yields: yields)
      guard !rows.isEmpty else { throw corrupt("LSN \(position.lsn + 1) is missing", at: path) }
      for row in rows {
        let frame = try EncodedLogFrame(row, at: path)
        try frame.checkFollows(position, at: path)
        try body(frame)
        position = frame.position
      }
    }
  }

  private func chunk(
    after lsn: UInt64, through last: UInt64, bytesMaximum: Int, yields: Bool
  ) throws -> (rows: [[UInt8]], path: String) {
    let read: @Sendable () throws -> (rows: [[UInt8]], path: String) = { [self] in
      try lock.withLock { _ in
        try checkUsable()
        let segment = try segment(holding: lsn + 1)
        let rows = try segment.rows(after: lsn, through: last, bytesMaximum: bytesMaximum)
        return (rows, segment.path)
      }
    }
    guard yields, let ordinarily = options.ordinarily else { return try read() }
    let outcome = Guarded<Result<(rows: [[UInt8]], path: String), any Error>?>(nil)
    ordinarily {
      let result = Result { try read() }
      outcome.withLock { $0 = result }
    }
    guard let result = outcome.withLock({ $0 }) else {
      throw StoreError(.cancelled, "the log was not read", at: directory)
    }
    return try result.get()
  }

  /// The position at `lsn`, from the one before `firstLSN` to the end; else `.notFound`.
  package func position(at lsn: UInt64) throws -> LogPosition {
    try lock.withLock { _ in
      try checkUsable()
      if lsn == segments[0].header.start.lsn { return segments[0].header.start }
      return try segment(holding: lsn).position(at: lsn)
    }
  }

  private func segment(holding lsn: UInt64) throws -> LogSegment {
    guard lsn <= active.end.lsn, let segment = segments.last(where: { $0.header.start.lsn < lsn })
    else {
      throw StoreError(
        .notFound,
        "LSN \(lsn) is not in the log, which holds \(segments[0].header.start.lsn + 1) to "
          + "\(active.end.lsn)", at: directory)
    }
    return segment
  }

  /// Reads and checks everything: headers, CRCs, chain, epochs and the joins of segments. Blocks
  /// appends for one segment at a time.
  package func verify() throws {
    let all = try lock.withLock { _ in
      try checkUsable()
      try Self.checkJoins(segments)
      return segments.map(\.path)
    }
    for path in all {
      try lock.withLock { _ in
        try checkUsable()
        try segments.first { $0.path == path }?.verify()
      }
    }
  }
}

/// How much log there is behind a position.
extension WriteAheadLog {
  /// Bytes of the frames after `lsn`: of those that are still there.
  package func frameBytes(after lsn: UInt64) throws -> Int {
    try lock.withLock { _ in
      try checkUsable()
      return try segments.filter { $0.end.lsn > lsn }.reduce(0) {
        try $0 + $1.frameBytes(after: lsn)
      }
    }
  }

  /// The LSN before the oldest segment that still fits, with all after it, into `bytes`.
  package func startOfNewest(bytes: Int) -> UInt64 {
    lock.withLock { _ in
      var sum = 0
      var start = active.end.lsn
      for segment in segments.reversed() {
        sum += segment.contentBytes
        if sum > bytes { break }
        start = segment.header.start.lsn
      }
      return start
    }
  }
}
