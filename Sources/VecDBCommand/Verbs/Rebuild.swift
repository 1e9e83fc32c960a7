import ArgumentParser
import VecDB

struct Rebuild: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rebuild a collection's index while it serves.",
    discussion: """
      A new generation of the index is built beside the one that serves, catches up with the log, \
      is measured against the old one, and takes over only if it is as good. Searches and writes go \
      on. The old one is kept caught up for the grace period, in which --rollback is instant. Where \
      another process has the database open, that process does it, and goes on if this command ends.

      Exit code 4: the gate refused the new generation; the old one serves on.

      EXAMPLE
        vecdb rebuild photos.vecdb images --m 32 --ef-construction 300
        vecdb rebuild photos.vecdb images --dry-run --alternative 24:200 --alternative 32:300
        vecdb rebuild photos.vecdb images --status
      """)

  @OptionGroup var target: CollectionArguments
  @Option(name: .customLong("m"), help: "Links of a node; the present value by default.")
  var m: Int?
  @Option(help: "Candidates for a new node's links; the present value by default.")
  var efConstruction: Int?
  @Option(help: "What the graph is built and searched on; automatic by default.")
  var codes: VectorCodes?

  @Flag(help: "Tell where the rebuild stands.") var status = false
  @Flag(help: "Give the new generation up before it serves.") var cancel = false
  @Flag(help: "Let the old generation serve again.") var rollback = false
  @Flag(help: "Give the old generation up before the grace period ends.") var retire = false
  @Flag(help: "Change the budget of the running rebuild.") var setBudget = false
  @Flag(help: "Build, measure and report only; nothing changes.") var dryRun = false
  @Option(help: "With --dry-run: parameters to compare, as M:EFCONSTRUCTION; may be repeated.")
  var alternative: [String] = []
  @Flag(help: "Begin and return; the process that has the database open goes on.")
  var detach = false

  @Option(help: "Recall the new generation must reach; that of the old one by default.")
  var minimumRecall: Double?
  @Option(help: "How many times longer than before a median search may take.")
  var latencyFactor: Double?
  @Option(help: "Canary queries of the gate.") var queries: Int?
  @Option(name: .customLong("ef"), help: "efSearch at which both are measured.")
  var efSearch: Int?
  @Option(help: "Seconds for which the old generation is kept.") var grace: Int?
  @Flag(help: "Keep a new generation that the gate refused, to look into it.")
  var keepRefused = false

  @Option(help: "Threads that build; one has a low priority.") var threads: Int?
  @Option(help: "Records inserted a second at most.") var rate: Int?
  @Option(help: "Bytes that the new generation may need at most.") var memory: Int?
  @Option(help: "Pause while the 99th percentile of searches is above so many milliseconds.")
  var pauseAbove: Double?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    let actions = [status, cancel, rollback, retire, setBudget, dryRun].count { $0 }
    guard actions <= 1 else {
      throw ValidationError(
        "Use one of --status, --cancel, --rollback, --retire, --set-budget, --dry-run.")
    }
    guard alternative.isEmpty || dryRun else {
      throw ValidationError("--alternative is for --dry-run.")
    }
    _ = try alternatives()
  }

  func run() async throws {
    let request = try request()
    let isWaiting = request.action == .run
    try await Session.runShared(target.database, repeats: false) { database in
      let bar = ProgressBar(.items("records"))
      let answer: RebuildAnswer
      do {
        switch database {
        case .own(let database):
          answer = try await database.perform(request, progress: bar.handler)
        case .remote(let database):
          answer = try await database.rebuild(request, progress: bar.handler)
        }
      } catch let error as VecDBError where error.code == .verificationFailed && isWaiting {
        bar.finish()
        throw TargetMissed(message: "\(error)")
      }
      bar.finish()
      show(answer)
    }
  }

  private func request() throws -> RebuildRequest {
    let action: RebuildRequest.Action =
      if status { .status } else if cancel { .cancel } else if rollback { .rollBack } else if retire
      {
        .retire
      } else if setBudget { .budget } else if dryRun { .trial } else if detach { .begin } else {
        .run
      }
    var request = RebuildRequest(action, target.collection)
    var options = RebuildOptions(m: m, efConstruction: efConstruction, codes: codes)
    options.gate.minimumRecall = minimumRecall
    latencyFactor.map { options.gate.latencyFactor = $0 }
    queries.map { options.gate.queries = $0 }
    efSearch.map { options.gate.efSearch = $0 }
    grace.map { options.graceSeconds = $0 }
    options.keepsRefused = keepRefused
    var budget = RebuildBudget()
    threads.map { budget.threads = $0 }
    budget.recordsPerSecond = rate
    budget.memoryBytes = memory
    budget.pauseAboveMilliseconds = pauseAbove
    options.budget = budget
    request.options = options
    request.budget = budget
    request.alternatives = try alternatives()
    return request
  }

  private func alternatives() throws -> [RebuildAlternative] {
    var result = try alternative.map { text in
      let parts = text.split(separator: ":").compactMap { Int($0) }
      guard parts.count == 2 else {
        throw ValidationError("--alternative is '\(text)'; write it like 32:200.")
      }
      return RebuildAlternative(m: parts[0], efConstruction: parts[1])
    }
    if dryRun, m != nil || efConstruction != nil || codes != nil {
      result.insert(
        RebuildAlternative(m: m, efConstruction: efConstruction, codes: codes), at: 0)
    }
    return result
  }

  // MARK: Output

  private func show(_ answer: RebuildAnswer) {
    if let report = answer.report {
      output.json ? Output.json(report) : show(report)
    } else if let status = answer.status {
      output.json ? Output.json(status) : show(status)
    } else if let trial = answer.trial {
      output.json ? Output.json(trial) : show(trial)
    } else if let receipt = answer.receipt {
      output.json
        ? Output.json(receipt) : Output.line("done at LSN \(receipt.lsn), epoch \(receipt.epoch)")
    }
  }

  private func show(_ report: RebuildReport) {
    Output.line(
      "generation \(report.generation) (M \(report.m), efConstruction \(report.efConstruction)) "
        + "serves from LSN \(report.swapLSN) on: \(Format.count(report.records)) records in "
        + Format.seconds(report.seconds))
    if let gate = report.gate { show(gate) }
    Output.line(
      "the old one is kept for \(Format.seconds(Double(report.graceSeconds))); "
        + "--rollback and --retire end that")
  }

  private func show(_ gate: RebuildGateReport) {
    Output.line(
      "recall@\(gate.k) at efSearch \(gate.efSearch): \(Format.decimal(gate.oldRecall, 4)) before, "
        + "\(Format.decimal(gate.newRecall, 4)) now; a search: "
        + "\(Format.decimal(gate.oldMicroseconds, 0)) µs before, "
        + "\(Format.decimal(gate.newMicroseconds, 0)) µs now")
    for refusal in gate.refusals { Output.line("refused: \(refusal)") }
  }

  private func show(_ status: RebuildStatus) {
    guard status.stage != "none" else {
      Output.line(
        "no rebuild; generation \(status.generation) serves (M \(status.m), efConstruction "
          + "\(status.efConstruction))")
      if !status.lastOutcome.isEmpty { Output.line(status.lastOutcome) }
      if !status.proposal.isEmpty { Output.line("proposed: \(status.proposal)") }
      return
    }
    var line = "generation \(status.generation) (M \(status.m), efConstruction "
    line += "\(status.efConstruction)): \(status.stage), \(Format.count(status.done)) of "
    line += "\(Format.count(status.total)) records"
    if status.recordsPerSecond > 0 {
      line += ", \(Format.count(Int(status.recordsPerSecond)))/s"
    }
    if let left = status.secondsLeft { line += ", \(Format.seconds(left)) left" }
    if let left = status.graceSecondsLeft { line += ", kept for \(Format.seconds(left))" }
    if status.isPaused { line += ", paused: searches take too long" }
    Output.line(line + "; \(status.reason)")
    if let gate = status.gate { show(gate) }
  }

  private func show(_ trial: RebuildTrialReport) {
    var table = Table([
      ("M", .right), ("efConstruction", .right), ("recall@\(trial.k)", .right),
      ("search µs", .right), ("memory", .right), ("build", .right), ("", .left),
    ])
    for row in trial.rows {
      table.add(
        "\(row.m)", "\(row.efConstruction)", Format.decimal(row.recall, 4),
        Format.decimal(row.microseconds, 0), Format.bytes(row.indexBytes),
        row.isCurrent ? "" : Format.seconds(row.buildSeconds), row.isCurrent ? "serves" : "")
    }
    table.write()
  }
}
