import Foundation
import Testing
import VecDB

@Suite struct MetadataCodableTests {
  enum Language: String, Codable {
    case german = "de"
    case english = "en"
  }

  struct Book: Codable, Equatable {
    var title: String
    var year: Int
    var rating: Double?
    var weight: Float
    var tags: [String]
    var shelf: UInt16
    var language: Language
    var isRead: Bool
    var added: Date
    var id: UUID
    var pages: [Int?]
    var big: UInt64
  }

  private func message(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return "\(error)" }
  }

  @Test func structuresBothWays() throws {
    let book = Book(
      title: "Ode", year: 1819, rating: nil, weight: 0.1, tags: ["poem"], shelf: 7,
      language: .german, isRead: true, added: Date(timeIntervalSinceReferenceDate: 1.5),
      id: UUID(), pages: [1, nil, 3], big: 1 << 62)
    let metadata = try Metadata(encoding: book)
    #expect(metadata["year"] == 1819)
    #expect(metadata["rating"] == nil)
    #expect(metadata["weight"] == .double(Double(Float(0.1))))
    #expect(metadata["language"] == "de")
    #expect(metadata["added"] == "2001-01-01T00:00:01.5Z")
    #expect(metadata["pages"] == [1, nil, 3])
    #expect(metadata["id"] == .string(book.id.uuidString))
    #expect(try metadata.decode(as: Book.self) == book)
    let stored = try Metadata(canonicalBytes: try metadata.canonicalBytes())
    #expect(try stored.decode(as: Book.self) == book)
    // As version 0.1 stored dates.
    var older = metadata
    older["added"] = 1.5
    #expect(try older.decode(as: Book.self) == book)
    older["added"] = "yesterday"
    #expect(throws: VecDBError.self) { try older.decode(as: Book.self) }
  }

  /// A date of today keeps its bits.
  @Test func datesComeBackExactly() throws {
    struct Event: Codable, Equatable { var date: Date }
    var generator = SeededGenerator(seed: 23)
    for _ in 0..<5_000 {
      let time = Double.random(in: 0...2e9, using: &generator)
      let event = Event(date: Date(timeIntervalSinceReferenceDate: time < 1e7 ? time + 1e7 : time))
      #expect(try Metadata(encoding: event).decode(as: Event.self) == event)
    }
  }

  @Test func dictionariesAndMetadataItself() throws {
    #expect(try Metadata(encoding: ["a": 1, "b": 2]) == ["a": 1, "b": 2])
    let metadata: Metadata = ["a": [1, "x", nil], "b": nil, "c": 0.5]
    #expect(try Metadata(encoding: metadata) == metadata)
    #expect(try metadata.decode(as: Metadata.self) == metadata)
  }

  @Test func throughFoundation() throws {
    let metadata: Metadata = [
      "a": [1, "x", nil, 2.5, true], "b": nil, "c": 0.5, "d": "é", "e": [],
    ]
    let data = try JSONEncoder().encode(metadata)
    #expect(try JSONDecoder().decode(Metadata.self, from: data) == metadata)
  }

  @Test func explicitContainers() throws {
    struct ByHand: Encodable {
      enum Key: String, CodingKey { case list, nothing, number }
      func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        var list = fields.nestedUnkeyedContainer(forKey: .list)
        try list.encode(1)
        try list.encodeNil()
        try list.encode("x")
        try fields.encodeNil(forKey: .nothing)
        try 2.5.encode(to: fields.superEncoder(forKey: .number))
      }
    }
    #expect(
      try Metadata(encoding: ByHand()) == ["list": [1, nil, "x"], "nothing": nil, "number": 2.5])
  }

  @Test func refusesWhatIsNotFlat() {
    struct Outer: Encodable { var inner = ["a": 1] }
    struct Deep: Encodable { var list = [[1]] }
    struct Objects: Encodable { var list = [["a": 1]] }
    struct Large: Encodable { var number = UInt64.max }
    struct Infinite: Encodable { var number = Double.infinity }
    #expect(message { _ = try Metadata(encoding: Outer()) }?.contains("field inner") == true)
    #expect(message { _ = try Metadata(encoding: Deep()) }?.contains("field list") == true)
    #expect(message { _ = try Metadata(encoding: Objects()) }?.contains("field list") == true)
    #expect(message { _ = try Metadata(encoding: Large()) }?.contains("field number") == true)
    #expect(message { _ = try Metadata(encoding: Infinite()) }?.contains("field number") == true)
    #expect(message { _ = try Metadata(encoding: 5) }?.contains("object") == true)
    #expect(message { _ = try Metadata(encoding: [1, 2]) }?.contains("object") == true)
  }

  @Test func refusesOtherTypes() {
    struct Year: Decodable { var year: Int8 }
    struct Title: Decodable { var title: String }
    struct Half: Decodable { var half: Float }
    let metadata: Metadata = ["year": 1819, "title": 5, "half": .integer(1 << 24 + 1)]
    #expect(
      message { _ = try metadata.decode(as: Year.self) }
        == "metadata does not decode as Year: Int8 does not hold 1819, found an integer (field year)"
    )
    #expect(
      message { _ = try metadata.decode(as: Title.self) }
        == "metadata does not decode as Title: String was expected, found an integer (field title)")
    #expect(message { _ = try metadata.decode(as: Half.self) }?.contains("exactly") == true)
    #expect(
      message { _ = try Metadata().decode(as: Title.self) }
        == "metadata does not decode as Title: the field is missing (field title)")
  }
}
