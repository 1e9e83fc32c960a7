import VecDBFiles

/// What a bucket was seen to hold: by lists, and by what was put and deleted since.
///
/// An object is never put in place of another. What changes has numbers: `keys` is followed by
/// `keys.00000000000000000001`, and the highest number counts. Names here are those without numbers.
struct BucketCatalogue: Sendable {
  /// One object in the bucket.
  struct Version: Sendable, Equatable {
    /// 0 for an object without a number in its name.
    var number: UInt64
    var sizeBytes: Int
    var modifiedMilliseconds: Int64
    /// The step of this catalogue at which it was put by this process; 0 if a list told of it.
    var step: UInt64 = 0
  }

  /// All objects of one name, ascending by number; never empty.
  struct Entry: Sendable, Equatable {
    var versions: [Version]
    var newest: Version { versions[versions.count - 1] }

    mutating func insert(_ version: Version) {
      if let index = versions.firstIndex(where: { $0.number == version.number }) {
        versions[index] = version
      } else {
        versions.append(version)
        versions.sort { $0.number < $1.number }
      }
    }
  }

  /// By folder and the last part of the name. Names without a folder are in folder "".
  private var folders: [String: [String: Entry]] = [:]
  private(set) var step: UInt64 = 0
  private(set) var isLoaded = false
  private(set) var objectCount = 0

  init() {}

  // MARK: Names

  /// The name of an object in the bucket.
  static func physicalName(_ name: String, _ number: UInt64) -> String {
    number == 0 ? name : name + "." + fixedWidth(number)
  }

  /// Larger numbers are not ours, and leave nothing to count on to.
  private static let largestNumber = UInt64.max / 2

  /// What an object's name stands for.
  static func parse(_ physical: String) -> (name: String, number: UInt64) {
    guard let dot = physical.utf8.lastIndex(of: UInt8(ascii: ".")),
      let number = parseFixedWidth(physical[physical.utf8.index(after: dot)...]), number > 0,
      number <= largestNumber
    else { return (physical, 0) }
    return (String(physical[..<dot]), number)
  }

  private static func split(_ name: String) -> (folder: String, last: String) {
    guard let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", name) }
    return (String(name[..<slash]), String(name[name.utf8.index(after: slash)...]))
  }

  // MARK: Looking

  subscript(_ name: String) -> Entry? {
    let (folder, last) = Self.split(name)
    return folders[folder]?[last]
  }

  /// The last parts of the names in a folder, and of the folders in it, ascending.
  func names(in folder: String) -> [String] {
    var names = Set(folders[folder]?.keys ?? [:].keys)
    let prefix = folder + "/"
    for other in folders.keys where other.hasPrefix(prefix) {
      let rest = other.dropFirst(prefix.count)
      names.insert(String(rest.prefix { $0 != "/" }))
    }
    return names.sorted()
  }

  /// All names with their objects.
  func visit(_ body: (String, Entry) throws -> Void) rethrows {
    for (folder, entries) in folders {
      for (last, entry) in entries { try body(folder.isEmpty ? last : folder + "/" + last, entry) }
    }
  }

  var isEmpty: Bool { objectCount == 0 }

  // MARK: Changing

  mutating func insert(_ name: String, _ version: Version) {
    let (folder, last) = Self.split(name)
    var version = version
    step += 1
    if version.step != 0 { version.step = step }
    let before = folders[folder]?[last]?.versions.count ?? 0
    folders[folder, default: [:]][last, default: Entry(versions: [])].insert(version)
    objectCount += (folders[folder]?[last]?.versions.count ?? 0) - before
  }

  mutating func remove(_ name: String, number: UInt64) {
    let (folder, last) = Self.split(name)
    guard var entry = folders[folder]?[last] else { return }
    let before = entry.versions.count
    entry.versions.removeAll { $0.number == number }
    objectCount -= before - entry.versions.count
    folders[folder]?[last] = entry.versions.isEmpty ? nil : entry
    if folders[folder]?.isEmpty == true { folders[folder] = nil }
  }

  /// Takes a list of all objects whose names begin with `prefix` in place of what was known of them;
  /// what this process put after step `since`, when the list began, stays.
  mutating func replace(prefix: String, since: UInt64, with objects: [BucketPage.Object]) {
    var own: [(String, Version)] = []
    var stale: [(String, UInt64)] = []
    visit { name, entry in
      guard name.hasPrefix(prefix) else { return }
      for version in entry.versions {
        if version.step > since { own.append((name, version)) }
        stale.append((name, version.number))
      }
    }
    for (name, number) in stale { remove(name, number: number) }
    for object in objects {
      let (name, number) = Self.parse(object.name)
      insert(
        name,
        Version(
          number: number, sizeBytes: object.sizeBytes,
          modifiedMilliseconds: object.modifiedMilliseconds))
    }
    for (name, version) in own
    where self[name]?.versions.contains(where: { $0.number == version.number }) != true {
      insert(name, version)
    }
    if prefix.isEmpty { isLoaded = true }
  }
}
