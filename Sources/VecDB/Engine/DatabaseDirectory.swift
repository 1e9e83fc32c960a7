/// Where things are in a database's directory.
struct DatabaseDirectory: Sendable, Hashable {
  let path: String

  var lockFile: String { path + "/LOCK" }
  var log: String { path + "/log" }
  var records: String { path + "/records.sqlite" }

  /// Whether vecdb puts something of this name into a database's directory.
  static func isOwn(_ name: String) -> Bool {
    names.contains(name) || prefixes.contains { name.utf8.starts(with: $0.utf8) }
  }

  private static let names: Set<String> = [
    "LOCK", "log", "packs", "manifests", "node", "node.tmp", "archives.json", "archives.json.tmp",
    "control.sock", "copy", ReplacementMarker.unfinishedName,
  ]
  /// A database's own, with SQLite's files beside it; what a snapshot for another node holds; and
  /// what was built beside the copy of a collection.
  private static let prefixes = ["records.sqlite", "snapshot-", "copy."]
}
