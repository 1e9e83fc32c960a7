import ArgumentParser
import VecDB

struct Mark: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Name the present state, so that you can restore it by that name; or list the names.",
    discussion: """
      Every later backup contains the mark, and prune keeps the restore point and log that it \
      needs.

      EXAMPLE
        vecdb mark photos.vecdb before-import
        vecdb restore /backup/photos copy.vecdb --to-mark before-import
      """)

  @OptionGroup var target: DatabaseArgument
  @Argument(help: "The mark's name; without a name, the command lists the marks.")
  var name: String?
  @Flag(help: "Remove the mark.")
  var remove = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard name != nil || !remove else { throw ValidationError("--remove needs a name.") }
  }

  private struct Removed: Encodable {
    var removed: String
    var receipt: Receipt
  }

  func run() async throws {
    try await Session.runShared(target.database, repeats: name == nil) { database in
      guard let name else { return write(try await database.marks()) }
      if remove {
        let receipt = try await database.removeMark(name)
        guard !output.json else { return Output.json(Removed(removed: name, receipt: receipt)) }
        Output.line("removed mark '\(name)' at LSN \(receipt.lsn)")
      } else {
        let mark = try await database.mark(name)
        guard !output.json else { return Output.json(mark) }
        Output.line("mark '\(name)' is at LSN \(mark.lsn)")
      }
    }
  }

  private func write(_ marks: [MarkInfo]) {
    if output.json {
      for mark in marks { Output.json(mark) }
      return
    }
    var table = Table([("LSN", .right), ("time", .left), ("mark", .left)])
    for mark in marks {
      table.add(String(mark.lsn), Timestamp.text(mark.timeMilliseconds), mark.name)
    }
    table.write()
  }
}

extension Access {
  fileprivate func mark(_ name: String) async throws -> MarkInfo {
    switch self {
    case .own(let database): try await database.mark(name)
    case .remote(let database): try await database.mark(name)
    }
  }

  fileprivate func removeMark(_ name: String) async throws -> Receipt {
    switch self {
    case .own(let database): try await database.removeMark(name)
    case .remote(let database): try await database.removeMark(name)
    }
  }

  fileprivate func marks() async throws -> [MarkInfo] {
    switch self {
    case .own(let database): try await database.marks()
    case .remote(let database): try await database.marks()
    }
  }
}
