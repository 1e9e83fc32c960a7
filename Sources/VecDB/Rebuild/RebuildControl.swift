/// What a control connection asks of a rebuild.
package struct RebuildRequest: Codable, Sendable, Hashable {
  package enum Action: String, Codable, Sendable {
    /// Begin, and wait until the new generation serves.
    case run
    /// Begin, and return.
    case begin
    case status
    case cancel
    case rollBack
    case retire
    case budget
    /// Build and measure without swapping.
    case trial
  }

  package var action: Action
  package var collection: String
  package var options: RebuildOptions?
  package var budget: RebuildBudget?
  package var alternatives: [RebuildAlternative]?

  package init(_ action: Action, _ collection: String) {
    self.action = action
    self.collection = collection
  }
}

/// The answer to it; one field is there.
package struct RebuildAnswer: Codable, Sendable {
  package var status: RebuildStatus?
  package var report: RebuildReport?
  package var receipt: Receipt?
  package var trial: RebuildTrialReport?
}

extension Database {
  /// Does what was asked, here or through the control socket. Waiting ends with the task; the
  /// rebuild does not.
  package func perform(
    _ request: RebuildRequest, progress: ProgressHandler?
  ) async throws -> RebuildAnswer {
    let collection = try collection(request.collection)
    var answer = RebuildAnswer()
    switch request.action {
    case .run:
      answer.report = try await collection.rebuild(request.options ?? RebuildOptions()) { status in
        // Counted in records, not bytes.
        progress?(
          WorkProgress(
            stage: status.stage.rawValue, doneBytes: status.done, totalBytes: status.total))
      }
    case .begin:
      answer.status = try await collection.beginRebuild(request.options ?? RebuildOptions())
    case .status: answer.status = try collection.rebuildStatus()
    case .cancel: answer.receipt = try await collection.cancelRebuild()
    case .rollBack: answer.receipt = try await collection.rollBackRebuild()
    case .retire: answer.receipt = try await collection.retireRebuild()
    case .budget:
      try collection.setRebuildBudget(request.budget ?? RebuildBudget())
      answer.status = try collection.rebuildStatus()
    case .trial:
      answer.trial = try await collection.tryRebuild(
        request.alternatives ?? [], options: request.options ?? RebuildOptions(),
        progress: progress)
    }
    return answer
  }
}
