import VecDBIndex

extension VectorCollection {
  /// How a search is to be done: as the options tell, or as reached their recall target on fresh
  /// queries; nil where that is not measured yet. Where they name no effort it is the default one,
  /// and more where that is known to fall short.
  func effort(
    _ options: SearchOptions, k: Int, matching: Int?, in index: IndexGeneration, at view: ReadView
  ) -> SearchEffort? {
    guard !options.exact else { return .exact }
    guard let recall = options.recall else {
      let usual = options.efSearch
      return SearchEffort(
        near: options.isEffortGiven ? usual : max(usual, runtime.health.leastEffort))
    }
    guard let matching else {
      return runtime.calibration.known(forRecall: recall, k: k, on: index)
    }
    return runtime.calibration.known(
      forRecall: recall, k: k, matching: matching, on: index, at: view)
  }

  /// Measures what the options' target needs; nil where they have none.
  func calibrate(_ options: SearchOptions, k: Int, matching: Int?) throws -> SearchEffort? {
    guard let recall = options.recall else { return nil }
    guard let matching else {
      return try runtime.calibration.measure(
        forRecall: recall, k: k, on: runtime.index, asked: runtime.reservoir)
    }
    return try runtime.calibration.measure(
      forRecall: recall, k: k, matching: matching, on: runtime.index)
  }
}
