import Testing
import VecDB

/// The operators build what they look like, for literals, variables, optionals and mixed lists.
@Suite struct FilterOperatorTests {
  @Test func comparisonsOfLiterals() {
    let year = Field("year")
    #expect((year >= 2020) == .comparison(field: "year", .greaterOrEqual, .integer(2020)))
    #expect((year > 1.5) == .comparison(field: "year", .greater, .double(1.5)))
    #expect((year <= "a") == .comparison(field: "year", .lessOrEqual, .string("a")))
    #expect((year < true) == .comparison(field: "year", .less, .bool(true)))
    #expect((year == ["a", "b"]) == .comparison(field: "year", .equal, .array(["a", "b"])))
    #expect((year == ["a", 1, nil]) == .comparison(field: "year", .equal, .array(["a", 1, nil])))
    #expect((year == .null) == .comparison(field: "year", .equal, .null))
    #expect((year != .null) == .comparison(field: "year", .notEqual, .null))
    #expect((year == nil) == .comparison(field: "year", .equal, .null))
  }

  @Test func comparisonsOfVariables() {
    let number = 3
    let float: Float = 0.5
    let text = "abc".dropFirst()
    let missing: String? = nil
    let list = ["x", "y"]
    #expect((Field("a") == number) == .comparison(field: "a", .equal, .integer(3)))
    #expect((Field("a") == UInt8(3)) == .comparison(field: "a", .equal, .integer(3)))
    #expect((Field("a") != float) == .comparison(field: "a", .notEqual, .double(0.5)))
    #expect((Field("a") == text) == .comparison(field: "a", .equal, .string("bc")))
    #expect((Field("a") == missing) == .comparison(field: "a", .equal, .null))
    #expect((Field("a") == MetadataValue.bool(true)) == .comparison(field: "a", .equal, true))
    #expect(Field("a").in(list) == .in(field: "a", ["x", "y"]))
    #expect(Field("a").in(1...3) == .in(field: "a", [1, 2, 3]))
    #expect(Field("a").in(Set([7])) == .in(field: "a", [7]))
  }

  @Test func lists() {
    #expect(Field("a").in(["x", "y"]) == .in(field: "a", ["x", "y"]))
    #expect(Field("a").in(["x", 1, .null]) == .in(field: "a", ["x", 1, .null]))
    #expect(Field("a").contains("x") == .contains(field: "a", "x"))
    #expect(Field("a").contains(.null) == .contains(field: "a", .null))
    #expect(Field("a").exists == .exists(field: "a"))
  }

  @Test func joiningFlattensChains() {
    let (a, b, c) = (Field("a").exists, Field("b").exists, Field("c").exists)
    #expect((a && b && c) == .and([a, b, c]))
    #expect((a || b || c) == .or([a, b, c]))
    #expect((a && b || c) == .or([.and([a, b]), c]))
    #expect((a && !(b || c)) == .and([a, .not(.or([b, c]))]))
  }

  enum Language: String, MetadataConvertible {
    case german = "de"
    var metadataValue: MetadataValue { .string(rawValue) }
  }

  @Test func typesOfOnesOwn() {
    #expect((Field("l") == Language.german) == .comparison(field: "l", .equal, "de"))
  }
}
