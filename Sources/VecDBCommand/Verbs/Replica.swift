import ArgumentParser
import VecDB
import VecDBReplication

struct Replica: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Keep a copy of a database that another node serves.",
    discussion: """
      Fetches a copy if there is none, and then follows the primary. If the copy has writes that \
      the primary lacks, the command first saves them in files that vecdb import reads. Backups, \
      checks and queries work on the copy while it follows. With --listen, you can promote it with \
      peers, and it can serve replicas itself. SIGTERM or Ctrl-C ends the command.

      EXAMPLE
        vecdb replica copy.vecdb --primary 127.0.0.1:7000 --name b --insecure-loopback
      """)

  @OptionGroup var target: DatabaseArgument
  @Option(help: "The node to follow, as host:port.")
  var primary: NodeAddress
  @OptionGroup var node: NodeArguments
  @OptionGroup(title: "When it is the primary") var acknowledgement: AcknowledgementArguments
  @OptionGroup(title: "Archiving") var archive: ArchiveArguments
  @OptionGroup var output: OutputOptions

  func run() async throws {
    var options = try node.options(database: target.database, peers: [primary])
    acknowledgement.apply(to: &options)
    let configuration = try archive.configuration()
    let following = try await ReplicationNode.follow(
      target.database, options: options, configuration: configuration)
    try await NodeProcess.run(following, node, name: options.name, json: output.json)
  }
}
