import Synchronization
import VecDBFiles
import VecDBSimulatedDisk

/// The disk as one process sees it: once that has been killed, its threads that still run, for
/// example one that writes a checkpoint, can change nothing any more.
final class SimulatedProcess: FileSystem {
  private let disk: SimulatedDisk
  private let hasEnded = Mutex(false)

  init(on disk: SimulatedDisk) { self.disk = disk }

  /// As SIGKILL would: what was written stays, synced or not.
  func kill() {
    hasEnded.withLock {
      $0 = true
      disk.killProcess()
    }
  }

  /// Operations and the kill exclude each other.
  private func alive<Value>(_ body: () throws -> Value) throws -> Value {
    try hasEnded.withLock { hasEnded in
      guard !hasEnded else { throw StoreError(.inputOutput, "the process was killed") }
      return try body()
    }
  }

  func createDirectory(_ path: String) throws { try alive { try disk.createDirectory(path) } }
  func list(_ directory: String) throws -> [String] { try alive { try disk.list(directory) } }
  func info(_ path: String) throws -> FileInfo? { try alive { try disk.info(path) } }
  func open(_ path: String, _ mode: OpenMode) throws -> any FileHandle {
    try alive { try disk.open(path, mode) }
  }
  func remove(_ path: String) throws { try alive { try disk.remove(path) } }
  func removeTree(_ path: String) throws { try alive { try disk.removeTree(path) } }
  func rename(_ source: String, to target: String) throws {
    try alive { try disk.rename(source, to: target) }
  }
  func renameExclusively(_ source: String, to target: String) throws {
    try alive { try disk.renameExclusively(source, to: target) }
  }
  func exchange(_ one: String, with other: String) throws -> Bool {
    try alive { try disk.exchange(one, with: other) }
  }
  func syncDirectory(_ path: String) throws { try alive { try disk.syncDirectory(path) } }
  func map(_ path: String, offset: Int, length: Int, at address: UnsafeMutableRawPointer) throws {
    try alive { try disk.map(path, offset: offset, length: length, at: address) }
  }
  func lock(_ path: String, owner: String) throws -> any FileLock {
    try alive { try disk.lock(path, owner: owner) }
  }
  func freeSpaceBytes(_ path: String) throws -> Int {
    try alive { try disk.freeSpaceBytes(path) }
  }
  var sqliteVFSName: String? { disk.sqliteVFSName }
}
