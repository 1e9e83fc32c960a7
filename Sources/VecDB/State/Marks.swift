import FoundationEssentials
import VecDBBlockStore
import VecDBFiles

/// The named points of a database's history, by name. Kept in the annotation `marks` of every
/// manifest, so that a repository knows them without reading its log.
struct Marks: Sendable, Hashable {
  struct Place: Sendable, Hashable, Codable {
    var lsn: UInt64
    var timeMilliseconds: Int64
  }

  /// A mark in the array form of the annotation.
  private struct Entry: Codable {
    var name: String
    var lsn: UInt64
    var timeMilliseconds: Int64
  }

  static let annotationName = "marks"
  private var places: [ByteString: Place] = [:]

  var count: Int { places.count }

  subscript(name: String) -> Place? { places[ByteString(name)] }

  init() {}

  /// Those that a manifest carries. Throws `.corrupt`.
  init(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.annotationName] else { return }
    let decoder = JSONDecoder()
    do {
      if text.utf8.first == UInt8(ascii: "[") {
        for entry in try decoder.decode([Entry].self, from: Data(text.utf8)) {
          set(entry.name, Place(lsn: entry.lsn, timeMilliseconds: entry.timeMilliseconds))
        }
      } else {
        for (name, place) in try decoder.decode([String: Place].self, from: Data(text.utf8)) {
          set(name, place)
        }
      }
    } catch {
      throw StoreError(
        .corrupt, "the marks cannot be read: \(error)", at: "manifest at LSN \(manifest.lsn)",
        remedy: "Restore the database from a backup.")
    }
  }

  /// Sets a mark, or removes it with nil.
  mutating func set(_ name: String, _ place: Place?) { places[ByteString(name)] = place }

  /// The annotations of a manifest: none where there are no marks. An object of names, as in version
  /// 0.1; an array where names are equivalent to each other as Unicode text, which readers of JSON
  /// objects take for one name.
  func annotations() throws -> [String: String] {
    guard !places.isEmpty else { return [:] }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let named = Dictionary(places.map { ($0.text, $1) }) { first, _ in first }
    let bytes =
      named.count == places.count
      ? try encoder.encode(named)
      : try encoder.encode(
        infos.map { Entry(name: $0.name, lsn: $0.lsn, timeMilliseconds: $0.timeMilliseconds) })
    return [Self.annotationName: String(decoding: bytes, as: UTF8.self)]
  }

  /// In the order of their LSNs.
  var infos: [MarkInfo] {
    places.map { MarkInfo(name: $0.text, lsn: $1.lsn, timeMilliseconds: $1.timeMilliseconds) }
      .sorted {
        $0.lsn != $1.lsn
          ? $0.lsn < $1.lsn : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
      }
  }
}
