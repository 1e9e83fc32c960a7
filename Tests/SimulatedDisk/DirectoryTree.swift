import Glibc

/// A name's target in a directory.
enum Node {
  case file(FileNode)
  case directory(DirectoryNode)
}

/// A directory: its entries as programs see them, and those that would be there after a crash.
final class DirectoryNode {
  var entries: [String: Node] = [:]
  var durable: [String: Node] = [:]
}

extension DirectoryNode {
  /// Whether `other` is this directory or somewhere below it.
  func holds(_ other: DirectoryNode) -> Bool {
    self === other
      || entries.values.contains {
        if case .directory(let child) = $0 { child.holds(other) } else { false }
      }
  }
}

extension DirectoryNode {
  /// As `FileNode.releaseLocks`, for all files here and below.
  func releaseLocks() {
    for node in entries.values {
      switch node {
      case .file(let file): file.releaseLocks()
      case .directory(let child): child.releaseLocks()
      }
    }
  }
}

/// The names on a simulated disk: the tree, and the changes to it that no `syncDirectory` has
/// made durable.
///
/// A change is atomic, also a rename: it is there after a crash with all its entries, or it is not
/// there. Syncing a directory makes durable what was created, removed or renamed into it; syncing
/// only the directory that something was renamed from promises nothing.
struct DirectoryTree {
  struct Entry {
    var directory: DirectoryNode
    var name: String
    /// What is there after the change; nil means that the name is gone.
    var node: Node?
  }

  private struct Change {
    var entries: [Entry]
    /// The directory whose sync makes it durable.
    var target: DirectoryNode
  }

  private(set) var root = DirectoryNode()
  private var unsynced: [Change] = []

  init() {}

  /// The components of a path without empty ones and `.`, and with `..` resolved.
  static func components(_ path: String) -> [String] {
    var parts: [String] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
    }
    return parts
  }

  subscript(path: String) -> Node? {
    var node = Node.directory(root)
    for part in Self.components(path) {
      guard case .directory(let directory) = node, let next = directory.entries[part] else {
        return nil
      }
      node = next
    }
    return node
  }

  /// The `errno` of a path that leads nowhere.
  func missing(_ path: String) -> Int32 {
    var directory = root
    for part in Self.components(path) {
      switch directory.entries[part] {
      case .directory(let child)?: directory = child
      case .file?: return ENOTDIR
      case nil: return ENOENT
      }
    }
    return ENOENT
  }

  func file(_ path: String) -> FileNode? {
    if case .file(let file)? = self[path] { file } else { nil }
  }

  func directory(_ path: String) -> DirectoryNode? {
    if case .directory(let directory)? = self[path] { directory } else { nil }
  }

  /// The directory of a path and the last component, nil where there is no such directory.
  func parent(_ path: String) -> (directory: DirectoryNode, name: String)? {
    var parts = Self.components(path)
    guard let name = parts.popLast(), let directory = directory(parts.joined(separator: "/"))
    else { return nil }
    return (directory, name)
  }

  /// Changes entries atomically; the last one's directory is the one to sync.
  mutating func change(_ entries: [Entry]) {
    guard let target = entries.last?.directory else { return }
    for entry in entries { entry.directory.entries[entry.name] = entry.node }
    unsynced.append(Change(entries: entries, target: target))
  }

  mutating func sync(_ directory: DirectoryNode) {
    settle(directory) { true }
  }

  /// What a failed sync leaves behind: chance decides what became durable, and the rest never
  /// will.
  mutating func failToSync(_ directory: DirectoryNode, _ random: inout SplitMix64) {
    var copy = random
    settle(directory) { copy.chance(50) }
    random = copy
  }

  /// Changes one entry at once and for good.
  mutating func replaceDurably(_ entry: Entry) {
    entry.directory.entries[entry.name] = entry.node
    entry.directory.durable[entry.name] = entry.node
    forget(entry, before: unsynced.count)
    unsynced.removeAll { $0.entries.isEmpty }
  }

  /// Takes an entry out of the older changes of the same name, so that they cannot come back.
  private mutating func forget(_ entry: Entry, before index: Int) {
    for older in 0..<index {
      unsynced[older].entries.removeAll {
        $0.directory === entry.directory && $0.name == entry.name
      }
    }
  }

  private mutating func settle(_ directory: DirectoryNode, _ isKept: () -> Bool) {
    var index = 0
    while index < unsynced.count {
      guard unsynced[index].target === directory else {
        index += 1
        continue
      }
      let change = unsynced.remove(at: index)
      guard isKept() else { continue }
      for entry in change.entries {
        entry.directory.durable[entry.name] = entry.node
        forget(entry, before: index)
      }
    }
    unsynced.removeAll { $0.entries.isEmpty }
  }

  /// The tree after a power failure, all of it durable, sharing nothing with this one.
  func surviving(_ survival: Survival, powersafeOverwrite: Bool) -> DirectoryTree {
    var durable: [ObjectIdentifier: [String: Node]] = [:]
    var random = SplitMix64(seed: 0)
    // A journaling file system keeps changes in order, POSIX does not ask for it: try both.
    var kept = unsynced.count
    var percent = 100
    switch survival {
    case .everything: break
    case .syncedOnly: kept = 0
    case .random(let seed):
      random = SplitMix64(seed: seed)
      if random.chance(60) {
        kept = random.below(unsynced.count + 1)
      } else {
        percent = [10, 50, 90][random.below(3)]
      }
    }
    for change in unsynced[..<kept] where percent == 100 || random.chance(percent) {
      for entry in change.entries {
        durable[ObjectIdentifier(entry.directory), default: entry.directory.durable][entry.name] =
          entry.node
      }
    }
    var copier = Copier(
      durable: durable, survival: survival, random: random, powersafeOverwrite: powersafeOverwrite)
    var result = DirectoryTree()
    result.root = copier.copy(root)
    return result
  }

  /// Copies what is durable, deciding the fate of each file on the way, in the order of the
  /// names so that a seed always means the same.
  private struct Copier {
    let durable: [ObjectIdentifier: [String: Node]]
    let survival: Survival
    var random: SplitMix64
    let powersafeOverwrite: Bool

    mutating func copy(_ directory: DirectoryNode) -> DirectoryNode {
      let result = DirectoryNode()
      let entries = durable[ObjectIdentifier(directory)] ?? directory.durable
      for (name, node) in entries.sorted(by: { $0.key < $1.key }) {
        switch node {
        case .directory(let child): result.entries[name] = .directory(copy(child))
        case .file(let file):
          var fate = survival
          if case .random = survival { fate = .random(seed: random.next()) }
          result.entries[name] = .file(
            FileNode(
              file.surviving(fate, powersafeOverwrite: powersafeOverwrite),
              modifiedMilliseconds: file.modifiedMilliseconds))
        }
      }
      result.durable = result.entries
      return result
    }
  }
}
