import Glibc
import VecDBFiles

/// What handles and the SQLite VFS do with files.
extension SimulatedDisk {
  func read(
    _ file: FileNode, _ path: String, generation: Int, at offset: Int,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    try lock.withLock {
      let effect = try begin(
        .read, path, generation: generation, offset: offset, length: buffer.count)
      try end(effect, "read the file", path)
      let count = copy(file, at: offset, into: buffer)
      if effect == .flippedBit, count > 0 {
        buffer[random.below(count)] ^= 1 << UInt8(random.below(8))
      }
      return count
    }
  }

  /// Copies what there is of the file; returns how many bytes.
  func copy(
    _ file: FileNode, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let count = max(0, min(buffer.count, file.contents.count - offset))
    guard count > 0 else { return 0 }
    file.contents.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
    }
    return count
  }

  func write(
    _ bytes: UnsafeRawBufferPointer, to file: FileNode, _ path: String, generation: Int,
    at offset: Int
  ) throws {
    try lock.withLock {
      var effect = try begin(
        .write, path, generation: generation, offset: offset, length: bytes.count)
      if effect == .diskFull, offset + bytes.count <= file.reservedBytes { effect = nil }
      var data = Array(bytes)
      switch effect {
      case .inputOutputError, .diskFull, .failedSync:
        let whole = data.count / PowerFailure.sectorBytes + 1
        data.removeLast(data.count - random.below(whole) * PowerFailure.sectorBytes)
      case .flippedBit where !data.isEmpty:
        data[random.below(data.count)] ^= 1 << UInt8(random.below(8))
      default: break
      }
      if let capacity = currentOptions.capacityBytes {
        let end = offset + data.count
        let growth = max(0, end - max(file.contents.count, file.reservedBytes))
        let room = max(0, capacity - usedBytes(tree.root))
        if growth > room {
          data.removeLast(min(data.count, growth - room))
          effect = effect == .powerFailure ? effect : .diskFull
        }
      }
      file.write(data, at: offset)
      file.modifiedMilliseconds = clockMilliseconds
      try end(effect, "write the file", path)
    }
  }

  /// Not an operation of its own, but a full disk that is due strikes here already.
  func reserve(
    _ file: FileNode, _ path: String, generation: Int, through sizeBytes: Int
  ) throws {
    try lock.withLock {
      try checkPower(generation, path)
      let isFull = faults.indices.contains {
        faults[$0].effect == .diskFull && faults[$0].skipping == 0
          && faults[$0].strikes(.write, path)
      }
      let room = currentOptions.capacityBytes.map { $0 - usedBytes(tree.root) } ?? .max
      let growth = sizeBytes - max(file.contents.count, file.reservedBytes)
      guard growth <= 0 || !isFull && growth <= room else {
        throw systemError(ENOSPC, "reserve space for the file", at: path)
      }
      file.reservedBytes = max(file.reservedBytes, sizeBytes)
    }
  }

  func truncate(_ file: FileNode, _ path: String, generation: Int, to sizeBytes: Int) throws {
    try lock.withLock {
      let effect = try begin(.truncate, path, generation: generation, offset: sizeBytes)
      if effect == nil || effect == .powerFailure || effect == .flippedBit {
        file.truncate(to: sizeBytes)
        file.modifiedMilliseconds = clockMilliseconds
      }
      try end(effect, "change the size of the file", path)
    }
  }

  func sync(_ file: FileNode, _ path: String, generation: Int) throws {
    try lock.withLock {
      let effect = try begin(.sync, path, generation: generation)
      switch effect {
      case nil, .flippedBit: file.sync()
      // What the power failure leaves of it is decided at the restart.
      case .powerFailure: break
      case .inputOutputError, .diskFull, .failedSync:
        file.failToSync(&random, powersafeOverwrite: currentOptions.powersafeOverwrite)
      }
      try end(effect, "make the file durable", path)
    }
  }

  func sizeBytes(_ file: FileNode, _ path: String, generation: Int) throws -> Int {
    try lock.withLock {
      try checkPower(generation, path)
      return file.contents.count
    }
  }

  func usedBytes(_ directory: DirectoryNode) -> Int {
    directory.entries.values.reduce(0) { sum, node in
      switch node {
      case .file(let file): sum + max(file.contents.count, file.reservedBytes)
      case .directory(let child): sum + usedBytes(child)
      }
    }
  }
}

/// Looking at the disk, and damaging it, past the file system: nothing here counts as an
/// operation, meets a fault or needs power.
extension SimulatedDisk {
  /// The paths of all files, sorted.
  package var filePaths: [String] {
    func paths(_ directory: DirectoryNode, _ prefix: String) -> [String] {
      directory.entries.flatMap { name, node in
        switch node {
        case .file: [prefix + name]
        case .directory(let child): paths(child, prefix + name + "/")
        }
      }
    }
    return lock.withLock { paths(tree.root, "/").sorted() }
  }

  /// What reads of the file see; nil if it is not there.
  package func contents(_ path: String) -> [UInt8]? {
    lock.withLock { tree.file(path)?.contents }
  }

  /// What has been synced of the file, whether or not its name is durable; nil if it is not there.
  package func durableContents(_ path: String) -> [UInt8]? {
    lock.withLock { tree.file(path)?.durable }
  }

  /// Flips bits of one byte for good, as decay of the medium would. False if there is no such
  /// byte.
  @discardableResult
  package func corrupt(_ path: String, at offset: Int, xor mask: UInt8 = 1) -> Bool {
    lock.withLock {
      guard let file = tree.file(path), file.contents.indices.contains(offset) else {
        return false
      }
      file.corrupt(at: offset, xor: mask)
      return true
    }
  }

  /// Replaces a file's contents durably, for example with fewer bytes of them; creates the file,
  /// in a directory that is there, where it is missing. With nil, the file's name is lost. False
  /// if there is no such directory.
  @discardableResult
  package func replace(_ path: String, with contents: [UInt8]?) -> Bool {
    lock.withLock {
      guard let (directory, name) = tree.parent(path) else { return false }
      let node = contents.map {
        Node.file(FileNode($0, modifiedMilliseconds: clockMilliseconds))
      }
      tree.replaceDurably(DirectoryTree.Entry(directory: directory, name: name, node: node))
      return true
    }
  }
}
