import ArgumentParser
import VecDB
import VecDBReplication

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve a database to replicas.",
    discussion: """
      Ships the log of the database to every replica that connects. With --replicas, the node \
      acknowledges a write only when replicas hold it too. That policy becomes part of the \
      database, and applies however you open it, until --asynchronous removes it. If another node \
      has become the primary, this one steps down, saves the writes that only it has, and follows; \
      name the other nodes with --peer for that. SIGTERM or Ctrl-C ends the command.

      EXAMPLE
        vecdb serve photos.vecdb --name a --listen 127.0.0.1:7000 --insecure-loopback
      """)

  @OptionGroup var target: DatabaseArgument
  @OptionGroup var node: NodeArguments
  @OptionGroup var acknowledgement: AcknowledgementArguments
  @OptionGroup(title: "Archiving") var archive: ArchiveArguments
  @OptionGroup var output: OutputOptions

  func run() async throws {
    var options = try node.options(database: target.database)
    acknowledgement.apply(to: &options)
    let configuration = try archive.configuration()
    let served = try await ReplicationNode.serve(
      target.database, options: options, configuration: configuration)
    try await NodeProcess.run(served, node, name: options.name, json: output.json)
  }
}
