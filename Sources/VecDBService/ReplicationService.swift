#if Service
  import ServiceLifecycle
  import VecDB
  import VecDBReplication

  /// A node of a replicated database as a service: it serves or follows while the service runs.
  public final class ReplicationService: Service {
    private let path: String
    private let options: ReplicationOptions
    private let configuration: DatabaseConfiguration
    private let follows: Bool
    private let started = LaterValue<ReplicationNode>()

    /// Starts nothing yet; `run` does.
    ///
    /// - Parameters:
    ///   - path: the directory of the database.
    ///   - follows: false as for ``ReplicationNode/serve(_:options:configuration:)``; true as for
    ///     ``ReplicationNode/follow(_:options:configuration:)``.
    public init(
      at path: String, options: ReplicationOptions, follows: Bool = false,
      configuration: DatabaseConfiguration = DatabaseConfiguration()
    ) {
      self.path = path
      self.options = options
      self.follows = follows
      self.configuration = configuration
    }

    /// The node; waits until the service has started it.
    ///
    /// - Throws: ``VecDBError``: what starting throws; `closed` after the service has ended;
    ///   `cancelled` if the task that waits is cancelled.
    public var node: ReplicationNode {
      get async throws { try await started.value() }
    }

    /// Starts the node, waits for a graceful shutdown or for cancellation, and stops the node, which
    /// closes its database.
    ///
    /// - Throws: ``VecDBError``: what starting and stopping throw. Cancellation is no error.
    public func run() async throws {
      try started.begin("the replication service")
      let node: ReplicationNode
      do {
        node =
          follows
          ? try await ReplicationNode.follow(path, options: options, configuration: configuration)
          : try await ReplicationNode.serve(path, options: options, configuration: configuration)
      } catch {
        started.fail(error)
        throw error
      }
      started.succeed(node)
      await StopSignal.wait()
      started.fail(VecDBError(.closed, "the replication service has ended", at: path))
      try await node.stop()
    }
  }
#endif
