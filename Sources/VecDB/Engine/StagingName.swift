import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// The names that vecdb gives to what it builds beside a database: `DB.restoring-` and 32 random
/// hexadecimal digits. Process numbers would not do, since two containers both have a process 1.
struct StagingName {
  enum Purpose: String, CaseIterable {
    case creating
    case restoring
    /// A copy of another node's database.
    case following
    /// One collection, on its way from a repository into a database.
    case collection
    /// An older copy whose place has been taken, on its way out.
    case replaced
  }

  /// The directory that holds the database, as a prefix of paths: empty, or ending with a slash.
  let folder: String
  /// What all names for this database begin with.
  let stem: String

  init(beside target: String) {
    var path = target[...]
    while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path = path.dropLast() }
    let name = fileName(String(path))
    folder = String(path.dropLast(name.count))
    // A long name stays usable: together with what is added it must fit into 255 bytes.
    stem = name.utf8.count <= 180 ? name : SHA256.hash(Array(name.utf8)).hex
  }

  var parent: String { folder.isEmpty ? "." : directoryName(folder + "x") }

  func fresh(_ purpose: Purpose) -> String {
    "\(folder)\(stem).\(purpose.rawValue)-\(UniqueID.random())"
  }

  /// Names, in the sorted order given, that `fresh` can have made.
  func own(among names: [String], _ purposes: Purpose...) -> [String] {
    names.filter { name in
      (purposes.isEmpty ? Purpose.allCases : purposes).contains { purpose in
        let prefix = "\(stem).\(purpose.rawValue)-"
        guard name.utf8.starts(with: prefix.utf8) else { return false }
        let digits = name.utf8.dropFirst(prefix.utf8.count)
        return digits.count == 32 && digits.allSatisfy(Self.isDigit)
      }
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }
}
