import Glibc
import VecDBFiles

extension Database {
  /// Whether the file system of a path is read-only.
  package static func isOnReadOnlyFileSystem(_ path: String) -> Bool {
    var status = statvfs()
    // ST_RDONLY of sys/statvfs.h.
    return statvfs(path, &status) == 0 && status.f_flag & 1 != 0
  }

  /// Opens a database on a read-only file system. It copies the files that opening must write to
  /// into `scratch`, an empty directory that the caller removes after closing, and reads blocks
  /// where they are. The database refuses every write.
  ///
  /// - Throws: `locked` if a process has the database open elsewhere.
  package static func openCopy(
    of path: String, in scratch: String, configuration: DatabaseConfiguration
  ) async throws -> Database {
    let source = DatabaseDirectory(path: try DatabasePlace.resolve(path, PosixFileSystem()))
    // Shared: any number of readers, and no writer.
    let lock = Glibc.open(source.lockFile, O_RDONLY | O_CLOEXEC)
    defer { if lock >= 0 { Glibc.close(lock) } }
    guard lock < 0 || flock(lock, LOCK_SH | LOCK_NB) == 0 else {
      throw VecDBError(
        .locked, "another process has the database open", at: path,
        remedy: "Run the command on the machine where that process runs.")
    }
    try VecDBError.translating {
      let files = PosixFileSystem()
      for entry in try files.list(source.path) {
        let (from, to) = (source.path + "/" + entry, scratch + "/" + entry)
        switch entry {
        case "packs":
          guard symlink(DatabasePlace.realPath(from) ?? from, to) == 0 else {
            throw VecDBError(
              .inputOutput, "a link cannot be made: \(String(cString: strerror(errno)))", at: to)
          }
        case "LOCK", "control.sock": break
        default: if DatabaseDirectory.isOwn(entry) { try files.copyTree(from, to: to) }
        }
      }
    }
    var configuration = configuration
    configuration.isReadOnly = true
    configuration.createIfMissing = false
    configuration.controlSocket = false
    configuration.checkpointOnClose = false
    configuration.scrubBytesPerSecond = nil
    configuration.removesExpired = false
    configuration.archive = nil
    return try await open(at: scratch, configuration: configuration)
  }
}

extension Database {
  /// The directory of the database that a path names; see ``DatabasePlace``.
  package static func place(of path: String) throws -> String {
    try VecDBError.translating { try DatabasePlace.target(path, PosixFileSystem()) }
  }
}
