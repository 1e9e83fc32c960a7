import BlockStore
import Files
import Foundation

/// The named points of a database's history, by name. Kept in the annotation `marks` of every
/// manifest, so that a repository knows them without reading its log.
struct Marks: Sendable, Hashable {
  struct Place: Sendable, Hashable, Codable {
    var lsn: UInt64
    var timeMilliseconds: Int64
  }

  static let annotationName = "marks"
  private(set) var places: [String: Place] = [:]

  init() {}

  /// Those that a manifest carries. Throws `.corrupt`.
  init(in manifest: Manifest) throws {
    guard let text = manifest.annotations[Self.annotationName] else { return }
    do {
      places = try JSONDecoder().decode([String: Place].self, from: Data(text.utf8))
    } catch {
      throw StoreError(
        .corrupt, "the marks cannot be read: \(error)", at: "manifest at LSN \(manifest.lsn)",
        remedy: "Restore the database from a backup.")
    }
  }

  /// Sets a mark, or removes it with nil.
  mutating func set(_ name: String, _ place: Place?) { places[name] = place }

  /// The annotations of a manifest: none where there are no marks.
  func annotations() throws -> [String: String] {
    guard !places.isEmpty else { return [:] }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return [Self.annotationName: String(decoding: try encoder.encode(places), as: UTF8.self)]
  }

  /// In the order of their LSNs.
  var infos: [MarkInfo] {
    places.map { MarkInfo(name: $0, lsn: $1.lsn, timeMilliseconds: $1.timeMilliseconds) }
      .sorted { ($0.lsn, $0.name) < ($1.lsn, $1.name) }
  }
}
