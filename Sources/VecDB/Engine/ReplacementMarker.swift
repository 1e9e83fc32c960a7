import Glibc
import VecDBBytes
import VecDBFiles

/// Says, where a file system cannot exchange two names in one step, that a replacement is under
/// way: a file beside the database, `DB.replacing`, that names the finished new copy and the place
/// of the older one. Whoever opens the database meanwhile finishes it.
struct ReplacementMarker {
  private let name: StagingName
  private let files: any FileSystem

  private var path: String { name.folder + name.stem + ".replacing" }
  static let unfinishedName = "replacing"
  private static let heading = "vecdb replacement 1"

  init(_ name: StagingName, _ files: any FileSystem) {
    self.name = name
    self.files = files
  }

  /// Puts `staging` in the place of `target` by two renames. Returns where the older one is then.
  func replace(_ target: String, by staging: String) throws -> String {
    let away = name.fresh(.replaced)
    let text = [Self.heading, fileName(staging), fileName(away), ""].joined(separator: "\n")
    // Written inside the staging directory, which a sweep removes.
    let unfinished = staging + "/" + Self.unfinishedName
    let file = try files.open(unfinished, .createOrTruncate)
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    try files.rename(unfinished, to: path)
    try files.syncDirectory(name.parent)
    try files.rename(target, to: away)
    try files.renameExclusively(staging, to: target)
    try files.syncDirectory(name.parent)
    try files.remove(path)
    return away
  }

  /// Finishes what was interrupted, so that there is a database at `target` again.
  ///
  /// - Returns: Whether nothing is under way any more.
  /// - Throws: `locked` while the process that replaces it works.
  @discardableResult
  func finish(_ target: String) throws -> Bool {
    guard try files.exists(path) else { return true }
    let lines = String(decoding: try files.readAll(path, maximumBytes: 4096), as: UTF8.self)
      .split(separator: "\n").map(String.init)
    // A file of somebody else that happens to have this name says nothing.
    guard lines.count == 3, lines[0] == Self.heading,
      name.own(among: Array(lines[1...])).count == 2
    else { return true }
    let staging = DatabaseDirectory(path: name.folder + lines[1])
    let isFinished = try files.exists(target)
    var lock: (any FileLock)?
    if try files.exists(staging.path) {
      lock = try files.lock(staging.lockFile, owner: "process \(getpid()), finishing a replacement")
    }
    defer { lock?.unlock() }
    if !isFinished {
      let source = lock == nil ? name.folder + lines[2] : staging.path
      guard try files.exists(source) else { return true }
      try files.renameExclusively(source, to: target)
      try files.syncDirectory(name.parent)
    }
    try files.remove(path)
    return true
  }
}
