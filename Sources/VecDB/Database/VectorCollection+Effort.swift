import VecDBIndex

extension VectorCollection {
  /// The effort of a search: that of the options, or the one that reached their recall target on
  /// fresh queries; nil if vecdb has not measured that yet. If the options name no effort, it is
  /// the default, and more if the default is known to miss the floor.
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

  /// Measures the effort that the options' target needs; nil if they have no target.
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
