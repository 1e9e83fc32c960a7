/// Where things are in a database's directory.
struct DatabaseDirectory: Sendable, Hashable {
  let path: String

  var lockFile: String { path + "/LOCK" }
  var log: String { path + "/log" }
  var records: String { path + "/records.sqlite" }
}
