import ArgumentParser
import VecDB
import VecDBCoordination
import VecDBReplication

struct Node: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a node of a cluster that decides by itself who is the primary.",
    discussion: """
      Starts knowing no role. The first node of a cluster makes the database, unless there is one; \
      the others fetch it and follow. When the primary is gone, a node that has everything takes \
      over; one that comes back follows. Give every node the same --replicas, with the names of all \
      of them: each leaves out its own. Without --replicas nothing proves that no write is lost, \
      and nobody takes over unless --loss allows it. SIGTERM or Ctrl-C hands over and ends.

      EXAMPLE
        vecdb node photos.vecdb --cluster photos --coordinator etcd://127.0.0.1:2379 \
      --name a --listen 127.0.0.1:7000 --replicas a,b,c --insecure-loopback
      """)

  @OptionGroup var target: DatabaseArgument
  @Option(help: "The name of the cluster; it stands for one database.")
  var cluster: String
  @OptionGroup(title: "Coordinator") var coordinator: CoordinatorArguments
  @Option(help: "How long after its last sign of life a primary is replaced, in seconds.")
  var lease = 5
  @Option(help: "What may be lost when this node takes over: none, bounded:BATCHES or any.")
  var loss = LossPolicy.none
  @Option(help: "Of nodes that have equally much, the one with the highest priority takes over.")
  var priority = 0
  @Flag(help: "This node never takes over.")
  var neverPrimary = false
  @Option(help: "Where other nodes reach this one, as host:port, if not where it listens.")
  var advertise: NodeAddress?
  @OptionGroup var node: NodeArguments
  @OptionGroup var acknowledgement: AcknowledgementArguments
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard node.peer.isEmpty else {
      throw ValidationError("The coordinator knows the other nodes: leave out --peer.")
    }
  }

  func run() async throws {
    var replication = try node.options(database: target.database)
    acknowledgement.apply(to: &replication)
    if var own = replication.acknowledgement, own != .asynchronous {
      own.replicas.removeAll { $0 == replication.name }
      replication.acknowledgement = own
    }
    var options = CoordinationOptions(cluster: cluster, coordinator: try coordinator.value())
    options.leaseSeconds = lease
    options.loss = loss
    options.priority = priority
    options.isNeverPrimary = neverPrimary
    options.advertised = advertise
    Interruption.install()
    let coordinated = try await CoordinatedNode.start(
      target.database, options: options, replication: replication)
    let ready: ReplicationNode
    do { ready = try await begun(coordinated) } catch {
      try await coordinated.stop()
      throw error
    }
    try await NodeProcess.run(
      ready, node, name: replication.name, json: output.json,
      refusal: { coordinated.refusal }, stop: { try await coordinated.stop() })
  }

  /// Waits as long as it takes; what keeps it is said once.
  private func begun(_ node: CoordinatedNode) async throws -> ReplicationNode {
    var told: Set<String> = []
    while true {
      do { return try await node.waitUntilReady(timeout: .milliseconds(200)) } catch let error
        as VecDBError where error.code == .notReached
      {
        for alarm in node.alarms where told.insert(alarm).inserted { Terminal.message(alarm) }
        if Interruption.requested { throw error }
      }
    }
  }
}

extension LossPolicy: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
  public var defaultValueDescription: String { text }
}
