import VecDBIndex

extension Database {
  /// Measures recall of every collection at one effort with canary queries: live records, left out
  /// of search and truth as if they were not there.
  ///
  /// What makes up for a poor index is left aside; ``measureHealth(queries:)`` says what searches find.
  ///
  /// Cost: `queries` exact searches of each collection, on the calling thread.
  public func measureRecall(
    queries: Int = 100, k: Int = 10, efSearch: Int = SearchOptions.defaultEfSearch
  ) throws -> CanaryReport {
    try VecDBError.translating {
      try requireOpen()
      return try VecDBError.translating {
        let report = CanaryReport(
          collections: try catalog.all.map {
            try Canaries.measure($0, queries: queries, k: k, efSearch: efSearch)
          })
        engine.telemetry.measured(report)
        return report
      }
    }
  }
}

extension Database {
  /// Measures every collection with fresh queries against exact answers, says what searches with
  /// default options find, and has searches make up for an index that falls short.
  ///
  /// - Parameter queries: of each collection at most; fewer, down to 32, where exact answers would
  ///   take long.
  /// Cost: an exact search for each query, on the calling thread.
  public func measureHealth(queries: Int = 100) throws -> [CollectionHealth] {
    try VecDBError.translating {
      try requireOpen()
      return try VecDBError.translating {
        try catalog.all.map { try engine.health(of: $0, queries) }
      }
    }
  }
}
