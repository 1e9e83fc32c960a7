import ArgumentParser
import VecDB
import VecDBReplication

struct Rejoin: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring an old primary's copy back into line with the new primary, once.",
    discussion: """
      Use this for an old primary after a failover. It saves the writes that only the old copy \
      has, goes back to the point where the new primary's history began, catches up, and ends. \
      Then start the copy with vecdb replica.

      EXAMPLE
        vecdb rejoin old.vecdb --primary 127.0.0.1:7001 --insecure-loopback
      """)

  @OptionGroup var target: DatabaseArgument
  @Option(help: "The node to follow, as host:port.")
  var primary: NodeAddress
  @Option(help: "Give up after this many seconds.")
  var timeout = 600
  @OptionGroup var node: NodeArguments
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let options = try node.options(database: target.database, peers: [primary])
    let following = try await ReplicationNode.follow(target.database, options: options)
    let deadline = ContinuousClock.now + .seconds(timeout)
    var status = await following.status()
    while !(status.isConnected && status.lagLSN == 0 && status.lagSeconds == 0) {
      guard ContinuousClock.now < deadline, status.alarms.isEmpty, status.role == .follower else {
        try await following.stop()
        if status.role == .primary {
          throw VecDBError(
            .notReached, "the node at --primary hears no primary, and this copy was the primary",
            at: target.database, remedy: "Serve this copy, or find the new primary.")
        }
        throw VecDBError(
          .notReached,
          status.alarms.first ?? status.lastError ?? "cannot reach the primary in time",
          at: target.database, remedy: "Look at the primary's status.")
      }
      try await Task.sleep(nanoseconds: 50_000_000)
      status = await following.status()
    }
    try await following.stop()
    guard !output.json else { return Output.json(status) }
    Output.line("in line with \(primary) at LSN \(status.lsn) of epoch \(status.epoch)")
    for tail in status.savedTails {
      Output.line(
        "LSN \(tail.afterLSN + 1) to \(tail.throughLSN) were only here; saved in \(tail.frames)"
          + (tail.imports.isEmpty ? "" : " and \(tail.imports.joined(separator: ", "))"))
    }
  }
}
