import ArgumentParser
import Glibc
import Logging
import VecDB
import VecDBReplication

/// What the verbs that run a node have in common.
struct NodeArguments: ParsableArguments {
  @Option(
    help: """
      The node's name, unique among the nodes of the database; by default the first name in its \
      certificate, or without TLS its address.
      """)
  var name: String?
  @Option(help: "Address at which other nodes reach this one, as host:port; port 0 means any.")
  var listen: NodeAddress?
  @Option(help: "Another node of the database, as host:port; you can repeat the option.")
  var peer: [NodeAddress] = []
  @Option(help: "Serve the status page over HTTP at this address, as host:port.")
  var http: NodeAddress?
  @Option(
    help: """
      File with the token that readers of the status page send as Authorization: Bearer (or \
      VECDB_HTTP_TOKEN_FILE).
      """,
    completion: .file())
  var httpToken: String?
  @Flag(help: "Let anyone who can reach the address read the status page.")
  var httpOpen = false
  @OptionGroup(title: "Protection") var protection: TLSArguments

  func options(database: String, peers: [NodeAddress] = []) throws -> ReplicationOptions {
    let security = try protection.security()
    var options = ReplicationOptions(
      name: name ?? security.certifiedName ?? listen?.description ?? database, listen: listen,
      peers: peers + peer, security: security)
    options.logger = CommandLog.logger(.info, of: "vecdb.replication")
    return options
  }
}

extension NodeArguments {
  func validate() throws {
    guard httpToken == nil || !httpOpen else {
      throw ValidationError("Give --http-token or --http-open, and not both.")
    }
    if http == nil, httpToken != nil || httpOpen {
      throw ValidationError("--http-token and --http-open need --http.")
    }
  }

  /// Starts the status page, if one is asked for.
  func page(of node: ReplicationNode) async throws -> StatusServer? {
    guard let http else { return nil }
    let file = httpToken ?? (httpOpen ? nil : EnvironmentOption.httpTokenFile.value)
    let token = try file.map { try StatusToken.read($0) }
    let protection: StatusProtection = token.map { .token($0) } ?? (httpOpen ? .none : .loopback)
    return try await StatusServer.start(node, at: http, protection: protection)
  }
}

/// The token of a status page, in a file.
enum StatusToken {
  static func read(_ path: String) throws -> String {
    try SecretFile.firstLine(
      of: path, "token of the status page",
      remedy: "Make one: (umask 077; openssl rand -hex 32 > FILE).")
  }
}

extension NodeAddress: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// When a primary acknowledges a write.
struct AcknowledgementArguments: ParsableArguments {
  @Option(
    name: .customLong("replicas"),
    help: "Names of the replicas that a write waits for, separated by commas.")
  var replicas: String?
  @Option(help: "How many of them must have a write on disk before it is acknowledged.")
  var needed = 1
  @Option(help: "How many batches they may be behind; 0 means semi-synchronous.")
  var maxLag: UInt64 = 0
  @Option(help: "How long a write waits for them, in milliseconds.")
  var ackTimeout = 5_000
  @Option(help: "After that time: block (outcome unknown) or degrade (go on without them).")
  var onTimeout = TimeoutPolicy.block
  @Flag(
    help: """
      Writes wait for no replica from now on. If they have waited until now, enough of those \
      replicas must be connected to confirm the change.
      """)
  var asynchronous = false
  @Option(
    help: """
      How many seconds a starting primary waits for replicas that it has not heard from, before it \
      goes on with as many as a write needs; or never.
      """)
  var startPatience = StartPatience(seconds: 5)

  struct StartPatience: ExpressibleByArgument, CustomStringConvertible {
    /// Nil: for ever.
    var seconds: Int?

    init(seconds: Int?) { self.seconds = seconds }

    init?(argument: String) {
      if argument == "never" {
        seconds = nil
      } else {
        guard let number = Int(argument), (0...86_400).contains(number) else { return nil }
        seconds = number
      }
    }

    var description: String { seconds.map { "\($0)" } ?? "never" }
    var defaultValueDescription: String { description }
  }

  func validate() throws {
    guard replicas == nil || !asynchronous else {
      throw ValidationError("Give --replicas or --asynchronous, and not both.")
    }
  }

  func apply(to options: inout ReplicationOptions) {
    options.acknowledgement = self.options
    options.startPatienceMilliseconds = startPatience.seconds.map { $0 * 1_000 }
  }

  enum TimeoutPolicy: String, ExpressibleByArgument {
    case block
    case degrade
  }

  private var options: AcknowledgementOptions? {
    if asynchronous { return .asynchronous }
    return replicas.map {
      AcknowledgementOptions(
        replicas: $0.split(separator: ",").map(String.init), needed: needed, maximumLag: maxLag,
        timeout: .milliseconds(ackTimeout), degrades: onTimeout == .degrade)
    }
  }
}

/// Where a node sends its log all the time.
struct ArchiveArguments: ParsableArguments {
  @Option(
    help: "Send the log to this repository every few seconds.",
    completion: .directory)
  var archive: String?
  @OptionGroup var key: KeyOptions

  func configuration() throws -> DatabaseConfiguration {
    var configuration = DatabaseConfiguration()
    configuration.archive = archive.map { ArchiveOptions(repository: $0) }
    configuration.repositoryKey = try key.key()
    return configuration
  }
}

/// A node that runs until it is told to stop.
enum NodeProcess {
  private struct Ready: Encodable {
    var name: String
    var role: String
    var listen: Int?
    var http: Int?
  }

  /// Prints where the node is reached, then waits for SIGINT or SIGTERM and closes it.
  static func run(
    _ node: ReplicationNode, _ arguments: NodeArguments, name: String, json: Bool,
    refusal: () -> VecDBError? = { nil }, stop: (() async throws -> Void)? = nil
  ) async throws {
    let stop = stop ?? { try await node.stop() }
    Interruption.install()
    raiseDescriptorLimit()
    let page: StatusServer?
    do { page = try await arguments.page(of: node) } catch {
      try await stop()
      throw error
    }
    let ready = Ready(
      name: name, role: node.role.rawValue, listen: node.listeningPort, http: page?.port)
    if json {
      Output.json(ready)
    } else {
      Output.line(
        "\(name): \(ready.role)"
          + (ready.listen.map { ", listening on port \($0)" } ?? "")
          + (ready.http.map { ", status page on port \($0)" } ?? ""))
    }
    Output.flush()
    while !Interruption.requested, refusal() == nil {
      try await Task.sleep(nanoseconds: 50_000_000)
    }
    try await page?.stop()
    try await stop()
    if let refusal = refusal() { throw refusal }
  }

  /// As many files and connections as the system lets this process have.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = min(limit.rlim_max, 65_536)
    // If that is refused, the limit stays, and connections are bounded by it.
    _ = setrlimit(resource, &limit)
  }
}
