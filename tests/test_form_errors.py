"""What stands at the top of a form that was refused."""

import pytest
from django import forms
from django.template.loader import render_to_string
from django.test import Client

from accounts.models import User
from tests.conftest import client_of

MANY = [("a", "A"), ("b", "B")]


class Form(forms.Form):
    name = forms.CharField(label="Name")
    role = forms.ChoiceField(label="Role", choices=MANY, widget=forms.RadioSelect)
    version = forms.IntegerField(widget=forms.HiddenInput)

    def clean(self) -> None:
        raise forms.ValidationError("<b>Nothing</b> fits.")


def summary(form: forms.Form) -> str:
    return " ".join(render_to_string("form_errors.html", {"form": form}).split())


def test_a_form_without_errors_has_none() -> None:
    assert summary(Form()) == ""


def test_it_has_the_focus() -> None:
    assert 'role="alert" aria-labelledby="form-errors" tabindex="-1" autofocus>' in summary(Form({}))


def test_each_error_leads_to_its_field() -> None:
    text = summary(Form({"role": "c"}))
    assert '<a href="#id_name">Name: This field is required.</a>' in text
    # Radio buttons have ids of their own; what holds them has that of the field.
    assert '<a href="#id_role">Role: Select a valid choice. c is not one of the available choices.</a>' in text
    assert 'id="id_role"' in str(Form()["role"])


def test_what_belongs_to_no_field_that_is_seen_leads_nowhere() -> None:
    text = summary(Form({}))
    assert "<li>&lt;b&gt;Nothing&lt;/b&gt; fits.</li>" in text
    assert "<li>This field is required.</li>" in text
    assert "id_version" not in text


@pytest.mark.django_db
@pytest.mark.parametrize("language, words", [("en", "Check the following"), ("fi", "Tarkista seuraavat kohdat")])
def test_the_first_field_leaves_the_focus_to_it(client: Client, language: str, words: str) -> None:
    headers = {"accept-language": language}
    assert client.get("/sign-in/", headers=headers).content.decode().count("autofocus") == 1
    page = client.post("/sign-in/", headers=headers).content.decode()
    assert words in page
    assert page.count("autofocus") == 1


def test_a_page_has_one_focus(owner: User) -> None:
    client = client_of(owner)
    assert client.get("/accounts/new/").content.decode().count("autofocus") == 1
    assert client.post("/accounts/new/").content.decode().count("autofocus") == 1
