import ArgumentParser
import VecDB
import VecDBCoordination

struct ClusterVerb: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Show a cluster's nodes, or change what they do.",
    discussion: """
      Asks the coordinator. Without an action, prints the nodes with role, lag and alarms, and the \
      settings that differ between them. Actions: primary prints the primary's address; switchover \
      has the primary hand over, to --to or to the node that has most; pause keeps all nodes from \
      taking over until resume; remove forgets a node (--node) that will not come back.

      EXAMPLE
        vecdb cluster photos --coordinator etcd://127.0.0.1:2379
        vecdb cluster photos switchover --to b --coordinator etcd://127.0.0.1:2379
      """)

  enum Action: String, ExpressibleByArgument, CaseIterable {
    case show, primary, switchover, pause, resume, remove
  }

  @Argument(help: "The name of the cluster.")
  var cluster: String
  @Argument(help: "show, primary, switchover, pause, resume or remove.")
  var action = Action.show
  @Option(help: "switchover: the node that is to be the primary.")
  var to: String?
  @Option(help: "remove: the node that will not come back.")
  var node: String?
  @OptionGroup(title: "Coordinator") var coordinator: CoordinatorArguments
  @OptionGroup var output: OutputOptions

  private struct Answer: Encodable {
    var cluster: String
    var action: String
    var primary: String?
  }

  func validate() throws {
    guard to == nil || action == .switchover else {
      throw ValidationError("--to goes with switchover.")
    }
    guard (node != nil) == (action == .remove) else {
      throw ValidationError("--node goes with remove, and remove needs it.")
    }
  }

  func run() async throws {
    let handle = try Cluster(cluster, coordinator: try coordinator.value())
    do { try await perform(handle) } catch {
      await handle.close()
      throw error
    }
    await handle.close()
  }

  private func perform(_ handle: Cluster) async throws {
    switch action {
    case .show:
      let status = try await handle.status()
      if output.json { Output.json(status) } else { show(status) }
    case .primary: say(try await handle.primary(), primary: true)
    case .switchover: say(try await handle.switchover(to: to), primary: true)
    case .pause:
      try await handle.pause()
      say("no node takes over until vecdb cluster \(cluster) resume")
    case .resume:
      try await handle.resume()
      say("nodes take over again")
    case .remove:
      try await handle.remove(node ?? "")
      say("'\(node ?? "")' is forgotten")
    }
  }

  private func say(_ text: String, primary: Bool = false) {
    guard output.json else { return Output.line(text) }
    Output.json(
      Answer(cluster: cluster, action: action.rawValue, primary: primary ? text : nil))
  }

  private func show(_ status: ClusterStatus) {
    Output.line("database \(status.databaseID ?? "is not made yet")")
    if status.isPaused { Output.line("paused: no node takes over") }
    var table = Table([
      ("node", .left), ("address", .left), ("role", .left), ("epoch", .right), ("LSN", .right),
      ("behind", .right), ("takes over", .left), ("version", .left),
    ])
    for node in status.nodes {
      table.add(
        node.name, node.address,
        node.role + (node.hasLease ? ", has the lease" : "")
          + (node.role == "primary" && !node.isWritable ? ", writes not accepted" : "")
          + (node.role == "follower" && !node.hearsPrimary ? ", hears no primary" : ""),
        "\(node.epoch)", "\(node.lsn)", node.lagLSN.map { "\($0)" } ?? "", node.unfit ?? "yes",
        node.version)
    }
    table.write()
    for name in status.missing { Output.line("MISSING  \(name) has not been heard") }
    for node in status.nodes {
      for alarm in node.alarms { Output.line("ALARM  \(node.name): \(alarm)") }
    }
    for difference in status.differences {
      let values = difference.values.sorted { $0.key < $1.key }
      Output.line(
        "DIFFERS  \(difference.setting): "
          + values.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
    }
  }
}
