import Glibc
import VecDBFiles

/// An open file of a simulated disk. It dies with the disk's power, and stays dead after a
/// restart.
final class SimulatedFile: FileHandle {
  let path: String
  private let disk: SimulatedDisk
  // Used only by the disk, inside its lock.
  nonisolated(unsafe) private let file: FileNode
  private let generation: Int
  private let isWritable: Bool

  init(disk: SimulatedDisk, file: FileNode, path: String, generation: Int, isWritable: Bool) {
    self.disk = disk
    self.file = file
    self.path = path
    self.generation = generation
    self.isWritable = isWritable
  }

  func sizeBytes() throws -> Int { try disk.sizeBytes(file, path, generation: generation) }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard offset >= 0 else { throw systemError(EINVAL, "read the file", at: path) }
    return try disk.read(file, path, generation: generation, at: offset, into: buffer)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    guard isWritable else { throw systemError(EBADF, "write the file", at: path) }
    guard offset >= 0 else { throw systemError(EINVAL, "write the file", at: path) }
    if bytes.isEmpty { return }
    try disk.write(bytes, to: file, path, generation: generation, at: offset)
  }

  func truncate(to sizeBytes: Int) throws {
    guard isWritable, sizeBytes >= 0 else {
      throw systemError(EINVAL, "change the size of the file", at: path)
    }
    try disk.truncate(file, path, generation: generation, to: sizeBytes)
  }

  func sync() throws { try disk.sync(file, path, generation: generation) }

  func reserve(through sizeBytes: Int) throws {
    try disk.reserve(file, path, generation: generation, through: sizeBytes)
  }
}

/// An advisory lock on a file of a simulated disk.
final class SimulatedFileLock: FileLock {
  private let disk: SimulatedDisk
  nonisolated(unsafe) private let file: FileNode
  private let path: String
  private let generation: Int

  init(disk: SimulatedDisk, file: FileNode, path: String, generation: Int) {
    self.disk = disk
    self.file = file
    self.path = path
    self.generation = generation
  }

  deinit { unlock() }

  func unlock() {
    disk.lock.withLock {
      guard file.lock == ObjectIdentifier(self) else { return }
      file.lock = nil
      if disk.isAlive(generation) { file.truncate(to: 0) }
    }
  }
}
