import Glibc
import VecDBFiles

/// Where the database is that a path names: there, or, where the path is the root of a volume that
/// cannot be renamed, in a directory of it.
///
/// A database takes its place in one rename. Nothing can be renamed onto a mount point, or into a
/// directory that may not be written to, so the rename happens within the volume.
enum DatabasePlace {
  /// What the directory in a volume's root is called.
  static let innerName = "database.vecdb"
  /// What `mkfs` puts into the root of a new file system.
  static let lostAndFound = "lost+found"

  static func resolve(_ path: String, _ files: any FileSystem) throws -> String {
    var path = path
    while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path.removeLast() }
    guard files is PosixFileSystem else { return path }
    if [".", ".."].contains(fileName(path)), let real = realPath(path) { path = real }
    if try files.exists(path + "/log") { return path }
    let inner = (path == "/" ? "" : path) + "/" + innerName
    if try files.exists(inner + "/log") { return inner }
    guard try files.info(path)?.isDirectory == true, try isEmpty(path, files),
      cannotBeReplaced(path)
    else { return path }
    return inner
  }

  /// As `resolve`, for what is to take the place of something: not of a link, but of what it leads
  /// to.
  static func target(_ path: String, _ files: any FileSystem) throws -> String {
    let place = try resolve(path, files)
    var status = stat()
    guard files is PosixFileSystem, lstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFLNK,
      let real = realPath(place)
    else { return place }
    return try resolve(real, files)
  }

  /// Whether nothing is in a directory that anybody would miss.
  static func isEmpty(_ path: String, _ files: any FileSystem) throws -> Bool {
    let names = try files.list(path).filter { $0 != lostAndFound }
    if names.isEmpty { return true }
    // What a process left that was to make a database in this volume.
    let inner = StagingName(beside: path + "/" + innerName)
    return inner.own(among: names).count == names.count
  }

  private static func cannotBeReplaced(_ path: String) -> Bool {
    var (own, parent, found) = (stat(), stat(), stat())
    guard stat(path, &own) == 0, stat(path + "/..", &parent) == 0 else { return false }
    return own.st_dev != parent.st_dev || own.st_ino == parent.st_ino
      || stat(path + "/" + lostAndFound, &found) == 0 || access(path + "/..", W_OK) != 0
      || isMountPoint(path)
  }

  /// Whether something is mounted right there, also of the same file system.
  private static func isMountPoint(_ path: String) -> Bool {
    guard let real = realPath(path), let file = fopen("/proc/self/mountinfo", "r") else {
      return false
    }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0 {
      guard let line else { return false }
      // The fifth field; blanks in it are written in octal.
      let fields = String(cString: line).split(separator: " ", maxSplits: 5)
      guard fields.count > 5 else { continue }
      if fields[4].contains("\\") ? unescaped(fields[4]) == real : fields[4] == real { return true }
    }
    return false
  }

  private static func unescaped(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let first = rest.first {
      if first == UInt8(ascii: "\\"), rest.count >= 4,
        let code = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(4)
      } else {
        bytes.append(first)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The real path of the nearest directory above that is there, or of the path itself.
  static func nearestThere(_ path: String) -> String? {
    var path = path
    while realPath(path) == nil, directoryName(path) != path { path = directoryName(path) }
    return realPath(path)
  }

  /// Whether a real path is another one, or in it.
  static func isWithin(_ inner: String, _ outer: String) -> Bool {
    inner == outer || inner.hasPrefix(outer == "/" ? outer : outer + "/")
  }

  static func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(validatingCString: real)
  }
}
