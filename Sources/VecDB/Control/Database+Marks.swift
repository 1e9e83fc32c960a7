extension Database {
  /// Names the present state, so that it can be restored by that name once it is backed up, and so
  /// that `prune` keeps what that needs.
  ///
  /// A mark is a batch in the log like any other: durable on return, and part of every later backup.
  ///
  /// - Parameter name: 1 to 255 bytes of UTF-8 without control characters.
  /// - Throws: `alreadyExists`, `invalidArgument`, `limitExceeded` beyond
  ///   ``DatabaseLimits/maximumMarks``.
  @discardableResult
  public func mark(_ name: String) async throws -> MarkInfo {
    try await VecDBError.translating {
      try requireOpen()
      try Self.requireName(name, of: "mark")
      return try await writer.exclusively { engine in
        let marks = engine.state.marks
        if let place = marks[name] {
          throw VecDBError(
            .alreadyExists, "there is already a mark '\(name)', at LSN \(place.lsn)",
            at: engine.directory.path, remedy: "Choose another name, or remove that mark first.")
        }
        guard marks.count < DatabaseLimits.maximumMarks else {
          throw VecDBError(
            .limitExceeded, "there are \(marks.count) marks", at: engine.directory.path,
            remedy: "Remove marks that you do not need.")
        }
        let time = engine.logTime()
        let receipts = try engine.write([
          BatchPayload.encodeMark(name: name, isSet: true, timeMilliseconds: time)
        ])
        return MarkInfo(
          name: name, lsn: receipts.last?.lsn ?? engine.state.lsn, timeMilliseconds: time)
      }
    }
  }

  /// Removes a mark; what it named can be pruned once this is backed up.
  ///
  /// - Throws: `notFound`.
  @discardableResult
  public func removeMark(_ name: String) async throws -> Receipt {
    try await VecDBError.translating {
      try requireOpen()
      return try await writer.exclusively { engine in
        guard engine.state.marks[name] != nil else {
          throw VecDBError(
            .notFound, "there is no mark '\(name)'", at: engine.directory.path,
            remedy: "`vecdb mark DB` lists the marks.")
        }
        let receipts = try engine.write([
          BatchPayload.encodeMark(
            name: name, isSet: false, timeMilliseconds: engine.logTime())
        ])
        return receipts.last ?? engine.receipt
      }
    }
  }

  /// All marks, oldest first.
  public func marks() async throws -> [MarkInfo] {
    try await VecDBError.translating {
      try requireOpen()
      return try await writer.exclusively { $0.state.marks.infos }
    }
  }
}
