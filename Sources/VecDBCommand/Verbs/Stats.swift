import ArgumentParser
import VecDB

struct Stats: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print counters and digests of a database.",
    discussion: """
      Databases with equal data digests hold the same records. Collections with equal graph \
      digests have the same index, bit for bit.

      EXAMPLE
        vecdb stats photos.vecdb --json
      """)

  @OptionGroup var target: DatabaseArgument
  @Flag(help: "Leave out graph digests, because they read the whole index.")
  var noGraphDigests = false
  @Flag(help: "Print the size of each index array, and how much of it is in memory.")
  var memory = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    try await Session.runShared(target.database) { database in
      var stats =
        switch database {
        case .own(let database): try database.stats(graphDigests: !noGraphDigests)
        case .remote(let database): try await database.stats(graphDigests: !noGraphDigests)
        }
      // What is read from a read-only file system is opened elsewhere.
      if Database.isOnReadOnlyFileSystem(target.database) { stats.path = target.database }
      if output.json { Output.json(stats) } else { write(stats) }
      guard memory else { return }
      guard case .own(let database) = database else {
        return Terminal.message(
          "Another process has the database open; what its index takes is told where it runs.")
      }
      for collection in stats.collections {
        writeMemory(
          try database.collection(collection.name).memory(), of: collection.name,
          slots: collection.slots)
      }
    }
  }

  private func write(_ stats: DatabaseStats) {
    var facts = Table([("database", .left), (stats.path, .left)])
    facts.add("id", stats.databaseID)
    facts.add("epoch, LSN", "\(stats.epoch), \(Format.count(Int(clamping: stats.lsn)))")
    facts.add("checkpoint at LSN", Format.count(Int(clamping: stats.checkpointLSN)))
    facts.add("chain", stats.chain)
    facts.add("data digest", stats.dataDigest)
    facts.add(
      "on disk",
      "log \(Format.bytes(stats.logBytes)), packs \(Format.bytes(stats.packBytes))"
        + (stats.livePackBytes.map { " (\(Format.bytes($0)) in use)" } ?? "")
        + ", records \(Format.bytes(stats.recordsBytes))")
    if let acknowledgement = stats.acknowledgement {
      facts.add("acknowledgement", "\(acknowledgement)")
    }
    facts.add("kernels", stats.kernels)
    if let ahead = stats.clockAheadMilliseconds, ahead > 60_000 {
      facts.add("log's time", "\(Format.seconds(Double(ahead) / 1000)) ahead of the clock")
    }
    for archive in stats.archives {
      var text =
        archive.pendingBytes == 0
        ? "has everything"
        : "\(Format.bytes(archive.pendingBytes)) behind, since "
          + Format.seconds(Double(archive.pendingMilliseconds) / 1000)
      if archive.hasLapsed { text += "; log that it lacks is gone: back up" }
      if let problem = archive.problem { text += "; \(problem)" }
      facts.add(
        archive.isContinuous ? "archived all the time" : "archived",
        "\(archive.repository): \(text)")
    }
    facts.write()
    for collection in stats.collections {
      Output.line("")
      var table = Table([("collection", .left), (collection.name, .left)])
      table.add("records", Format.count(collection.count))
      table.add(
        "slots",
        "\(Format.count(collection.slots)): \(Format.count(collection.graphCount)) in the graph, "
          + "\(Format.count(collection.slots - collection.graphCount)) in the tail, "
          + "\(Format.count(collection.dead)) dead, \(Format.count(collection.free)) free")
      table.add("dimensions, metric", "\(collection.dimensions), \(collection.metric.rawValue)")
      table.add("m, ef-construction", "\(collection.m), \(collection.efConstruction)")
      if let codes = collection.codes, let inUse = collection.codesInUse {
        table.add("codes", "\(codes.rawValue)" + (inUse == "none" ? "" : ", now \(inUse)"))
      }
      table.add(
        "recall",
        stats.health?.first { $0.collection == collection.name }.map { health in
          health.finding
            ?? "\(Format.decimal(health.recall, 3)) of the nearest 10 at efSearch "
            + "\(health.efSearch), measured at LSN \(health.lsn)"
        } ?? "not measured since the opening; vecdb check measures it")
      table.add("index in memory", Format.bytes(collection.indexBytes))
      table.add("data digest", collection.dataDigest)
      if let digest = collection.graphDigest { table.add("graph digest", digest) }
      table.write()
    }
  }

  private func writeMemory(_ all: [ArrayMemory], of collection: String, slots: Int) {
    let arrays = all.filter { $0.bytes > 0 }
    guard !arrays.isEmpty else { return }
    if output.json {
      for array in arrays { Output.json(array) }
      return
    }
    Output.line("")
    var table = Table([
      ("array of \(collection)", .left), ("bytes", .right), ("a slot", .right),
      ("resident", .right),
    ])
    func add(_ name: String, _ bytes: Int, _ resident: Int?) {
      table.add(
        name, Format.bytes(bytes), Format.decimal(Double(bytes) / Double(max(1, slots)), 1),
        resident.map(Format.bytes) ?? "unknown")
    }
    for array in arrays { add(array.name, array.bytes, array.residentBytes) }
    let resident = arrays.compactMap(\.residentBytes)
    add(
      "in all", arrays.reduce(0) { $0 + $1.bytes },
      resident.count == arrays.count ? resident.reduce(0, +) : nil)
    table.write()
  }
}
