import ArgumentParser
import Foundation
import VecDB
import VecDBReplication

struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the role of a node and how far it is behind.",
    discussion: """
      Asks the process that runs a node on the database, or the status page at an address.

      EXAMPLE
        vecdb status copy.vecdb --json
        vecdb status 127.0.0.1:8080
      """)

  @Argument(help: "The database directory, or the address of a status page as host:port.")
  var node: String
  @Option(help: "A file with the token for the status page.", completion: .file())
  var httpToken: String?
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let token = try httpToken.map { try StatusToken.read($0) }
    let status = try await NodeQuestion.status(node, token: token)
    guard !output.json else { return Output.json(status) }
    var table = Table([("node", .left), (status.name, .left)])
    table.add("role", status.role.rawValue)
    table.add("database", status.databaseID ?? "is being fetched")
    table.add("epoch, LSN", "\(status.epoch), \(Format.count(Int(clamping: status.lsn)))")
    table.add("data digest", status.dataDigest)
    if let acknowledgement = status.acknowledgement {
      table.add("acknowledgement", "\(acknowledgement)")
    }
    if status.role == .primary, let isWritable = status.isWritable {
      table.add("writes", isWritable ? "accepted" : "not accepted now")
    }
    if status.role == .follower {
      table.add(
        "primary",
        (status.primary ?? "none") + (status.isConnected ? "" : " (not heard)")
          + (status.followsPrimary == false ? " (a replica; its confirmation does not count)" : ""))
      table.add(
        "behind",
        "\(status.lagLSN ?? 0) batches, \(Format.bytes(Int(clamping: status.lagBytes ?? 0))), "
          + (status.lagSeconds.map { Format.seconds($0) } ?? "never heard"))
    }
    if status.isFetching == true {
      table.add(
        "copy",
        "\(status.fetchStage ?? "asked for"), \(Format.bytes(status.fetchedBytes ?? 0)) of "
          + "\(Format.bytes(status.fetchTotalBytes ?? 0))")
    }
    for follower in status.followers {
      table.add(
        "follower \(follower.name)",
        follower.isFetchingSnapshot
          ? "fetches a copy"
          : "\(follower.lagLSN) batches, \(Format.bytes(Int(clamping: follower.lagBytes))) behind")
    }
    if status.degradedWrites > 0 {
      table.add("acknowledged without replicas", Format.count(status.degradedWrites))
    }
    for alarm in status.alarms { table.add("ALARM", alarm) }
    if let error = status.lastError { table.add("last error", error) }
    table.write()
  }
}

/// Questions to a node that another process runs.
enum NodeQuestion {
  static func status(_ node: String, token: String? = nil) async throws -> NodeStatus {
    let isDirectory = FileManager.default.fileExists(atPath: node)
    if !isDirectory, let address = NodeAddress(node) { return try await page(address, token) }
    return try await NodeRequest(.status).ask(try owner(node), as: NodeStatus.self)
  }

  /// The process that runs the node with the database at `path`.
  static func owner(_ path: String) throws -> RemoteDatabase {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard let remote = try RemoteDatabase(path: trimmed) else {
      if isBeingFetched(trimmed) {
        throw VecDBError(
          .closed, "a replica is fetching a copy to this path, or was when its process ended",
          at: path,
          remedy: "Look at the status page of that process (--http): it shows the progress.")
      }
      throw VecDBError(
        .notFound, "no process runs a node on this database", at: path,
        remedy: "Start one with `vecdb serve` or `vecdb replica`.")
    }
    return remote
  }

  /// Whether a copy lies beside the path that has not taken its place yet.
  private static func isBeingFetched(_ path: String) -> Bool {
    let url = URL(fileURLWithPath: path)
    let prefix = url.lastPathComponent + ".following-"
    let folder = url.deletingLastPathComponent().path
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).contains {
        $0.hasPrefix(prefix)
      }
    } catch { return false }
  }

  private static func page(_ address: NodeAddress, _ token: String?) async throws -> NodeStatus {
    do {
      let answer = try await HTTPQuestion.get(address, path: "/status", token: token)
      return try JSONDecoder().decode(NodeStatus.self, from: Data(answer.utf8))
    } catch let error as DecodingError {
      throw VecDBError(
        .inputOutput, "this is not the status page of a node: \(error)", at: "\(address)")
    }
  }
}
