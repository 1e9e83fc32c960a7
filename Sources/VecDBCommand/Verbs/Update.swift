import ArgumentParser
import VecDB

struct Update: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Change the metadata of records or when they expire, and leave their vectors as they are.",
    discussion: """
      Give keys, or --where for all records that match. If a key does not exist, the command fails \
      and changes nothing. With --if-version, it changes the record only if nobody wrote it since \
      `vecdb get --with-version` printed that version. If another process has the database open, that \
      process changes the records.

      EXAMPLE
        vecdb update notes.vecdb notes 17 --set '{"state":"read","reader":4}'
        vecdb update notes.vecdb notes --where "state = 'draft'" --remove state --remove reader
        vecdb update notes.vecdb notes 17 --set '{"count":2}' --if-version 1045
        vecdb update sessions.vecdb turns --where "session = 'x7'" --expires 2026-01-31T12:00:00Z
      """)

  @OptionGroup var target: CollectionArguments
  @Argument(help: "The keys.")
  var keys: [String] = []
  @OptionGroup var filter: FilterArguments
  @Option(help: "The fields to set, as a JSON object.")
  var set: String?
  @Option(help: "A field to remove; several times for several fields.")
  var remove: [String] = []
  @Flag(help: "Remove all fields that --set does not name.")
  var removeOthers = false
  @Option(help: "When vecdb deletes the records: RFC 3339, milliseconds since 1970, or 'never'.")
  var expires: String?
  @Option(help: "Change the record only if it has this version.")
  var ifVersion: UInt64?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard keys.isEmpty != filter.isEmpty else {
      throw ValidationError("Give keys, or --where or --where-file, and not both.")
    }
    guard set != nil || !remove.isEmpty || removeOthers || expires != nil else {
      throw ValidationError("Give --set, --remove, --remove-others or --expires.")
    }
    if let expires, expires != "never", Timestamp.milliseconds(expires) == nil {
      throw ValidationError(
        "--expires is '\(expires)'; write it like 2026-01-31T12:00:00Z, or never.")
    }
    guard ifVersion == nil || keys.count == 1 else {
      throw ValidationError("--if-version needs one key.")
    }
  }

  func run() async throws {
    let filter = try filter.filter()
    let change = MetadataChange(
      set: try fields(), remove: remove, removesOthers: removeOthers)
    let expiry = expires.map { $0 == "never" ? 0 : max(1, Timestamp.milliseconds($0) ?? 1) }
    let result = try await Session.run(
      target.database,
      remotely: { owner in
        let collection = try await RemoteCollection(target.collection, of: owner)
        guard let filter else {
          return try await collection.update(
            keys, change, ifVersion: ifVersion, expiryMilliseconds: expiry)
        }
        return try await collection.update(where: filter, change, expiryMilliseconds: expiry)
      },
      { database in
        let collection = try database.collection(target.collection)
        guard let filter else {
          return try await collection.update(
            keys.map { key in
              var update = RecordUpdate(key, change, ifVersion: ifVersion)
              update.expiryMilliseconds = expiry
              return update
            })
        }
        return try await collection.update(where: filter, change, expiryMilliseconds: expiry)
      })
    if output.json {
      Output.json(result)
    } else {
      Output.line(
        "updated \(Format.count(result.updated)), \(Format.count(result.unchanged)) unchanged; "
          + "LSN \(result.receipt.lsn)")
    }
  }

  private func fields() throws -> Metadata {
    guard let set else { return [:] }
    do { return try Metadata(json: set) } catch let error as VecDBError {
      throw UsageError(
        message: "--set cannot be read: \(error.message)"
          + (error.location.isEmpty ? "" : " (\(error.location))"),
        remedy: "Write it like '{\"state\":\"read\",\"year\":2024}'.")
    }
  }
}
