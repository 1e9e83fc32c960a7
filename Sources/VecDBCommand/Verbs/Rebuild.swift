import ArgumentParser
import VecDB

struct Rebuild: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rebuild a collection's index while it serves.",
    discussion: """
      Builds a new generation of the index while the old one serves, lets it catch up with the \
      log, compares it with the old one, and swaps them only if the new one is as good. Searches \
      and writes go on. For the grace period, vecdb keeps the old generation up to date, so \
      --rollback is instant. If another process has the database open, that process rebuilds, and \
      continues if you end this command.

      Exit code 4: the gate refused the new generation; the old one continues to serve.

      EXAMPLE
        vecdb rebuild photos.vecdb images --m 32 --ef-construction 300
        vecdb rebuild photos.vecdb images --dry-run --alternative 24:200 --alternative 32:300
        vecdb rebuild photos.vecdb images --status
      """)

  @OptionGroup var target: CollectionArguments
  @Option(name: .customLong("m"), help: "Number of links of a node; by default the present value.")
  var m: Int?
  @Option(help: "Number of candidates for the links of a new node; by default the present value.")
  var efConstruction: Int?
  @Option(help: "Search on 8-bit codes or float32 vectors; by default automatic.")
  var codes: VectorCodes?

  @Flag(help: "Print the progress of the rebuild.") var status = false
  @Flag(help: "Discard the new generation before it serves.") var cancel = false
  @Flag(help: "Let the old generation serve again.") var rollback = false
  @Flag(help: "Discard the old generation before the grace period ends.") var retire = false
  @Flag(help: "Change the budget of the running rebuild.") var setBudget = false
  @Flag(help: "Build, measure and report; change nothing.") var dryRun = false
  @Option(help: "With --dry-run: parameters to compare, as M:EFCONSTRUCTION; may be repeated.")
  var alternative: [String] = []
  @Flag(help: "Begin and return; the process that has the database open continues.")
  var detach = false

  @Option(help: "Minimum recall of the new generation; by default about that of the old one.")
  var minimumRecall: Double?
  @Option(help: "The median search may take at most this many times as long as before.")
  var latencyFactor: Double?
  @Option(help: "Number of canary queries of the gate.") var queries: Int?
  @Option(name: .customLong("ef"), help: "efSearch at which the gate measures both generations.")
  var efSearch: Int?
  @Option(help: "Seconds that vecdb keeps the old generation.") var grace: Int?
  @Flag(help: "Keep a new generation that the gate refused, so that you can examine it.")
  var keepRefused = false

  @Option(help: "Threads that build; a single thread runs at low priority.") var threads: Int?
  @Option(help: "Maximum number of records inserted a second.") var rate: Int?
  @Option(help: "Maximum bytes of the new generation.") var memory: Int?
  @Option(help: "Pause while the 99th percentile of search times exceeds this many milliseconds.")
  var pauseAbove: Double?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    let actions = [status, cancel, rollback, retire, setBudget, dryRun].count { $0 }
    guard actions <= 1 else {
      throw ValidationError(
        "Use one of --status, --cancel, --rollback, --retire, --set-budget, --dry-run.")
    }
    guard alternative.isEmpty || dryRun else {
      throw ValidationError("--alternative needs --dry-run.")
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
      "the old generation stays for \(Format.seconds(Double(report.graceSeconds))), or until "
        + "--rollback or --retire")
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
