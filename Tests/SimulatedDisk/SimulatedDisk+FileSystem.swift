import Glibc
import VecDBFiles

extension SimulatedDisk: FileSystem {
  /// The VFS that stores SQLite's files on this disk. It is registered when first asked for; a
  /// restart in place gives a new one.
  package var sqliteVFSName: String? {
    lock.withLock {
      if vfs == nil { vfs = SimulatedVFS(disk: self, generation: generation) }
      return vfs?.name
    }
  }

  package func createDirectory(_ path: String) throws {
    try lock.withLock {
      try checkPower(generation, path)
      var directory = tree.root
      let parts = DirectoryTree.components(path)
      for (index, part) in parts.enumerated() {
        switch directory.entries[part] {
        case .directory(let child)?: directory = child
        case .file? where index < parts.count - 1:
          throw systemError(ENOTDIR, "create the directory", at: path)
        case .file?:
          throw StoreError(
            .alreadyExists, "cannot create the directory: a file of that name is there", at: path)
        case nil:
          let child = DirectoryNode()
          let entry = DirectoryTree.Entry(
            directory: directory, name: part, node: .directory(child))
          try change([entry], .createDirectory, path, "create the directory")
          try sync(directory, path)
          directory = child
        }
      }
    }
  }

  package func list(_ directory: String) throws -> [String] {
    try lock.withLock {
      try checkPower(generation, directory)
      guard let node = tree.directory(directory) else {
        let code = tree[directory] == nil ? tree.missing(directory) : ENOTDIR
        throw systemError(code, "list the directory", at: directory)
      }
      return node.entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
  }

  package func info(_ path: String) throws -> FileInfo? {
    try lock.withLock {
      try checkPower(generation, path)
      return switch tree[path] {
      case nil: nil
      case .directory?:
        FileInfo(sizeBytes: 0, isDirectory: true, modifiedMilliseconds: clockMilliseconds)
      case .file(let file)?:
        FileInfo(
          sizeBytes: file.contents.count, isDirectory: false,
          modifiedMilliseconds: file.modifiedMilliseconds)
      }
    }
  }

  package func open(_ path: String, _ mode: OpenMode) throws -> any FileHandle {
    try lock.withLock {
      let file: FileNode
      switch mode {
      case .read, .readWrite: file = try existingFile(path, generation: generation)
      case .createNew:
        if tree[path] != nil { throw systemError(EEXIST, "create the file", at: path) }
        file = try createFile(path, generation: generation)
      case .createOrTruncate:
        if tree[path] == nil {
          file = try createFile(path, generation: generation)
        } else {
          file = try existingFile(path, generation: generation)
          let effect = try begin(.truncate, path, generation: generation)
          if effect == nil || effect == .powerFailure { file.truncate(to: 0) }
          try end(effect, "create the file", path)
        }
      }
      return SimulatedFile(
        disk: self, file: file, path: path, generation: generation, isWritable: mode != .read)
    }
  }

  package func remove(_ path: String) throws {
    try lock.withLock { try removeFile(path, generation: generation) }
  }

  package func removeTree(_ path: String) throws {
    try lock.withLock {
      try checkPower(generation, path)
      guard let (parent, name) = tree.parent(path), let node = parent.entries[name] else { return }
      try removeTree(node, in: parent, name, path)
    }
  }

  package func rename(_ source: String, to target: String) throws {
    try lock.withLock { try rename(source, to: target, exclusively: false) }
  }

  package func renameExclusively(_ source: String, to target: String) throws {
    try lock.withLock { try rename(source, to: target, exclusively: true) }
  }

  package func exchange(_ one: String, with other: String) throws -> Bool {
    try lock.withLock {
      try checkPower(generation, one)
      guard currentOptions.canExchange else { return false }
      return try exchangeNames(one, other)
    }
  }

  package func syncDirectory(_ path: String) throws {
    try lock.withLock {
      try checkPower(generation, path)
      guard let directory = tree.directory(path) else {
        let code = tree[path] == nil ? tree.missing(path) : ENOTDIR
        throw systemError(code, "open the directory", at: path)
      }
      try sync(directory, path)
    }
  }

  /// Puts anonymous memory over the pages and copies the bytes into it, with the rest of the last
  /// page as a real mapping would show it.
  package func map(
    _ path: String, offset: Int, length: Int, at address: UnsafeMutableRawPointer
  ) throws {
    let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
    guard offset >= 0, length > 0, offset % pageSize == 0,
      Int(bitPattern: address) % pageSize == 0
    else {
      throw StoreError(
        .invalidArgument,
        "cannot map \(length) bytes at \(offset): offset and address must be whole pages",
        at: path)
    }
    try lock.withLock {
      let file = try existingFile(path, generation: generation)
      let effect = try begin(
        .read, path, generation: generation, offset: offset, length: length)
      try end(effect, "map the file", path)
      let size = file.contents.count
      guard length <= size, offset <= size - length else {
        throw StoreError(
          .corrupt, "the file has only \(size) bytes; cannot map \(length) bytes at \(offset)",
          at: path, remedy: "Restore the file from a repository or a replica.")
      }
      let mapped = mmap(
        address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0)
      guard mapped != MAP_FAILED else { throw systemError(errno, "map the file", at: path) }
      let pages = (length + pageSize - 1) / pageSize * pageSize
      _ = copy(file, at: offset, into: UnsafeMutableRawBufferPointer(start: address, count: pages))
      if effect == .flippedBit {
        let bytes = address.assumingMemoryBound(to: UInt8.self)
        bytes[random.below(length)] ^= 1 << UInt8(random.below(8))
      }
    }
  }

  package func lock(_ path: String, owner: String) throws -> any FileLock {
    try lock.withLock {
      try checkPower(generation, path)
      let file =
        try tree[path] == nil
        ? createFile(path, generation: generation) : existingFile(path, generation: generation)
      if file.lock != nil {
        let owner = String(decoding: file.contents, as: UTF8.self)
        throw StoreError(
          .locked, "held by \(owner)", at: path,
          remedy: "Stop that process, or access the database through it.")
      }
      let effect = try begin(.write, path, generation: generation, length: owner.utf8.count)
      file.truncate(to: 0)
      file.write(Array(owner.utf8), at: 0)
      try end(effect, "write the file", path)
      let lock = SimulatedFileLock(
        disk: self, file: file, path: path, generation: generation)
      file.lock = ObjectIdentifier(lock)
      return lock
    }
  }

  package func freeSpaceBytes(_ path: String) throws -> Int {
    try lock.withLock {
      try checkPower(generation, path)
      guard tree[path] != nil else {
        throw systemError(tree.missing(path), "ask for the free space", at: path)
      }
      return max(0, (currentOptions.capacityBytes ?? 1 << 40) - usedBytes(tree.root))
    }
  }
}

/// Names: for the methods above and the SQLite VFS, inside the lock.
extension SimulatedDisk {
  func existingFile(_ path: String, generation: Int) throws -> FileNode {
    try checkPower(generation, path)
    switch tree[path] {
    case .file(let file)?: return file
    case .directory?:
      throw StoreError(.inputOutput, "cannot open the file: not a regular file", at: path)
    case nil: throw systemError(tree.missing(path), "open the file", at: path)
    }
  }

  func createFile(_ path: String, generation: Int) throws -> FileNode {
    try checkPower(generation, path)
    guard let (directory, name) = tree.parent(path) else {
      throw systemError(tree.missing(path), "create the file", at: path)
    }
    let file = FileNode(modifiedMilliseconds: clockMilliseconds)
    let entry = DirectoryTree.Entry(directory: directory, name: name, node: .file(file))
    try change([entry], .create, path, "create the file", generation)
    return file
  }

  func removeFile(_ path: String, generation: Int) throws {
    try checkPower(generation, path)
    guard let (directory, name) = tree.parent(path), let node = directory.entries[name] else {
      throw systemError(tree.missing(path), "remove the file", at: path)
    }
    guard case .file = node else { throw systemError(EISDIR, "remove the file", at: path) }
    let entry = DirectoryTree.Entry(directory: directory, name: name, node: nil)
    try change([entry], .remove, path, "remove the file", generation)
  }

  /// Makes the names in a directory durable.
  func sync(_ directory: DirectoryNode, _ path: String, generation: Int? = nil) throws {
    let effect = try begin(
      .syncDirectory, path, generation: generation ?? self.generation)
    switch effect {
    case nil, .flippedBit: tree.sync(directory)
    case .powerFailure: break
    case .inputOutputError, .diskFull, .failedSync: tree.failToSync(directory, &random)
    }
    try end(effect, "make the directory durable", path)
  }

  private func change(
    _ entries: [DirectoryTree.Entry], _ kind: OperationKind, _ path: String, _ operation: String,
    _ generation: Int? = nil
  ) throws {
    let effect = try begin(kind, path, generation: generation ?? self.generation)
    // A failed change of names has not happened; one that the power failure met may have.
    if effect == nil || effect == .powerFailure || effect == .flippedBit { tree.change(entries) }
    try end(effect, operation, path)
  }

  private func rename(_ source: String, to target: String, exclusively: Bool) throws {
    try checkPower(generation, source)
    let operation = "rename \(source)\(exclusively ? " to a new name" : "")"
    // The kernel looks for both directories first, then for what is in them.
    guard let (oldDirectory, oldName) = tree.parent(source) else {
      throw systemError(tree.missing(source), operation, at: target)
    }
    guard let (directory, name) = tree.parent(target) else {
      throw systemError(tree.missing(target), operation, at: target)
    }
    guard let node = oldDirectory.entries[oldName] else {
      throw systemError(ENOENT, operation, at: target)
    }
    if exclusively, directory.entries[name] != nil {
      throw systemError(EEXIST, operation, at: target)
    }
    switch (node, directory.entries[name]) {
    case (.file, nil): break
    case (.file(let one), .file(let other)?):
      if one === other { return }
    case (.file, .directory(let other)?):
      let code = other.holds(oldDirectory) ? ENOTEMPTY : EISDIR
      throw systemError(code, operation, at: target)
    case (.directory(let one), let found):
      if case .directory(let other)? = found, one === other { return }
      if one.holds(directory) { throw systemError(EINVAL, operation, at: target) }
      switch found {
      case nil: break
      case .file?: throw systemError(ENOTDIR, operation, at: target)
      case .directory(let other)?:
        guard other.entries.isEmpty else { throw systemError(ENOTEMPTY, operation, at: target) }
      }
    }
    try change(
      [
        DirectoryTree.Entry(directory: oldDirectory, name: oldName, node: nil),
        DirectoryTree.Entry(directory: directory, name: name, node: node),
      ], .rename, target, operation)
  }

  private func exchangeNames(_ one: String, _ other: String) throws -> Bool {
    let operation = "exchange \(one)"
    guard let (oldDirectory, oldName) = tree.parent(one) else {
      throw systemError(tree.missing(one), operation, at: other)
    }
    guard let (directory, name) = tree.parent(other) else {
      throw systemError(tree.missing(other), operation, at: other)
    }
    guard let node = oldDirectory.entries[oldName], let found = directory.entries[name] else {
      throw systemError(ENOENT, operation, at: other)
    }
    if case .directory(let moved) = node, case .directory(let met) = found, moved === met {
      return true
    }
    // Neither may go into itself.
    if case .directory(let moved) = node, moved.holds(directory) { return false }
    if case .directory(let moved) = found, moved.holds(oldDirectory) { return false }
    try change(
      [
        DirectoryTree.Entry(directory: oldDirectory, name: oldName, node: found),
        DirectoryTree.Entry(directory: directory, name: name, node: node),
      ], .rename, other, operation)
    return true
  }

  private func removeTree(
    _ node: Node, in parent: DirectoryNode, _ name: String, _ path: String
  ) throws {
    if case .directory(let directory) = node {
      for (name, child) in directory.entries.sorted(by: { $0.key < $1.key }) {
        try removeTree(child, in: directory, name, path + "/" + name)
      }
    }
    try change(
      [DirectoryTree.Entry(directory: parent, name: name, node: nil)], .remove, path,
      "remove the file")
  }
}
